"""An operator learns why a login is refused, and ends a block, whether or not Redis answers."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.process.blocks import add_user, block, hours
from tests.process.running import RunningService, run_module, running_service

pytestmark = pytest.mark.thorough

HERE = "127.0.0.1"
COLUMNS = 80

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    env = {"WEB_CONCURRENCY": "1", "LIMIT_LOGIN_ACCOUNT": "4/172800"}
    with running_service(tmp_path_factory.mktemp("logins"), **env) as running:
        add_user(running, "bea")
        add_user(running, "eve", active=False)
        block(running, "bea", hours(2))
        yield running


def test_a_login_that_nothing_is_in_the_way_of(service: RunningService) -> None:
    done = service.scripts("logins", "explain", "causas", "--network", "203.0.113.7")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "The right password of causas from 203.0.113.7 would get 200: nothing is in the",
        "way. If that login is refused all the same, its password is wrong.",
        "",
        "block                   none",
        "failures in a row       0 (a block begins at 100)",
        "this network            unknown",
        "known networks          none",
        "by account and network  0 of 5 in 60 s",
        "by account              0 of 4 in 48 h",
        "by network              0 of 50 in 5 min",
    ]


def test_a_blocked_account(service: RunningService) -> None:
    done = service.scripts("logins", "explain", "bea")

    assert (done.returncode, done.stderr) == (0, "")
    text = flat(done)
    assert "would get 429: the account is blocked, for 2 h more." in text
    assert "To end it now: python -m scripts logins unblock bea" in text
    assert "failures in a row 100 (a block begins at 100)" in text


def test_a_blocked_account_as_json(service: RunningService) -> None:
    facts = facts_of(service.scripts("logins", "explain", "bea", "--network", "2001:db8::7", "--json"))

    assert (facts["status"], facts["reason"], facts["user_exists"]) == (429, "the account is blocked", True)
    assert 7000 < facts["retry_after"] <= 7200
    assert [counter["policy"] for counter in facts["counters"]] == [
        "pair",
        "account",
        "network",
        "wide network",
    ]


def test_a_spent_limit(service: RunningService) -> None:
    for _ in range(5):
        service.log_in("dora", "wrong")

    text = flat(service.scripts("logins", "explain", "dora", "--network", HERE))

    assert "429: a limit is spent, for 47 h" in text or "429: a limit is spent, for 48 h" in text
    assert "by account 4 of 4 in 48 h, oldest gone in 48 h (spent)" in text


def test_a_user_that_does_not_exist(service: RunningService) -> None:
    text = flat(service.scripts("logins", "explain", "nobody"))

    assert "401: there is no such user. Mind the spelling." in text
    assert "To list the user names: python -m scripts users list" in text


def test_a_disabled_user(service: RunningService) -> None:
    text = flat(service.scripts("logins", "explain", "eve"))

    assert "401: the user is disabled. To let the user in again: python -m scripts users enable eve" in text


def test_an_account_that_was_not_blocked_is_said_to_be_so(service: RunningService) -> None:
    done = service.scripts("logins", "unblock", "nobody", "--json")

    assert facts_of(done) == {"was_blocked": False}


def test_a_name_that_nobody_has_is_not_silently_unblocked(service: RunningService) -> None:
    misspelt, right = (service.scripts("logins", "unblock", name) for name in ("evve", "eve"))

    assert flat(misspelt) == "evve was not blocked, and there is no such user: mind the spelling."
    assert flat(right) == "eve was not blocked; failures forgotten."


def test_times_for_programs_are_written_as_over_http(service: RunningService) -> None:
    done = service.scripts("logins", "explain", "bea", "--json")

    assert re.fullmatch(r"[0-9-]{10}T[0-9:]{8}Z", facts_of(done)["blocked_until"])


def test_a_known_network_is_called_that(service: RunningService) -> None:
    service.token()

    text = flat(service.scripts("logins", "explain", "causas", "--network", HERE))

    assert "this network known: no block, no limit by account" in text
    assert f"known networks {HERE} (last login " in text
    assert "by account 0" not in text


@pytest.mark.parametrize("address", ["nonsense", "203.0.113.0/24"])
def test_an_address_that_is_none_is_wrong_usage(service: RunningService, address: str) -> None:
    done = service.scripts("logins", "explain", "bea", "--network", address)

    assert (done.returncode, done.stdout) == (2, "")
    assert "is not an IPv4 or IPv6 address" in done.stderr


def test_without_redis_a_login_is_explained_all_the_same(service: RunningService) -> None:
    done = without_redis(service, "logins", "explain", "bea")

    assert done.returncode == 0
    assert "429: the account is blocked" in flat(done)
    assert "Redis does not answer: every process keeps a stricter limit of its own" in flat(done)
    assert "Traceback" not in done.stderr


def test_blocks_are_listed_and_ended(service: RunningService) -> None:
    block(service, "causas", hours(1))
    block(service, "nobody at all", hours(3))

    listed = service.scripts("logins", "blocks")
    as_json = facts_of(service.scripts("logins", "blocks", "--json"))
    ended = service.scripts("logins", "unblock", "CAUSAS")

    heading, first, *_, summary = listed.stdout.splitlines()
    assert heading.split() == ["account", "blocked", "until", "failures"]
    assert first.startswith("(no such user) ")
    assert summary == "3 accounts blocked."
    assert max(map(len, listed.stdout.splitlines())) <= COLUMNS
    assert {row["user"] for row in as_json["blocks"]} == {"bea", "causas", None}
    assert (ended.returncode, ended.stdout) == (0, "CAUSAS is no longer blocked.\n")


def test_without_redis_an_unblock_is_half_done_and_says_what_is_left(service: RunningService) -> None:
    block(service, "gwen", hours(1))

    done = without_redis(service, "logins", "unblock", "gwen")

    assert (done.returncode, done.stdout) == (1, "")
    assert "Half done: gwen has no block and no failures in the database any more" in flat_text(done.stderr)
    assert "run this again when Redis is back" in flat_text(done.stderr)


def without_redis(service: RunningService, *args: str) -> Done:
    # The key is that of the data directory, so that it is the same account.
    return run_module("scripts", *args, env={**service.env, "REDIS_URL": "redis://127.0.0.1:1/0"})


def flat(done: Done) -> str:
    """Give what was said, which has to fit a terminal, without its line breaks and columns."""
    assert max(map(len, done.stdout.splitlines())) <= COLUMNS, done.stdout
    return flat_text(done.stdout)


def flat_text(text: str) -> str:
    return " ".join(text.split())


def facts_of(done: Done) -> Any:
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)
