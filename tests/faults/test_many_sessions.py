"""One command revokes a hundred thousand sessions, and whatever happens to it, what it said is true."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.faults.conftest import StartSite
from tests.faults.many_sessions import FIRST_USER, NETWORK, number_of, open_many, some
from tests.faults.neighbours import time_lost
from tests.faults.servers import PostgresServer, RedisServer
from tests.faults.site import Site
from tests.faults.traffic import assert_kept
from tests.process.running import ROOT, run, run_module
from tests.timing import assert_within, wait_until

pytestmark = pytest.mark.slow

SESSIONS = 100_000
USERS = 1000
REVOKE = ("tokens", "revoke", "--network", NETWORK, "--yes")
FEW_USERS = 100
CHOSEN_BY = {
    "network": REVOKE,
    "users": (
        *("tokens", "revoke", "--yes"),
        *(word for number in range(FEW_USERS) for word in ("--user", f"many{FIRST_USER + number}")),
    ),
}
REVOKED, ALIVE = "revoked_at IS NOT NULL", "revoked_at IS NULL"
BROKEN_OFF = re.compile(
    r"Interrupted: of 100,000 sessions of 1,000 users, ([0-9,]+) are revoked and effective everywhere"
    r" \(.*\); run it again for the rest\.\n"
)


@pytest.fixture
def site(postgres: PostgresServer, start: StartSite) -> Site:
    asyncio.run(open_many(postgres.url, SESSIONS, USERS))
    return start(postgres.url)


@pytest.mark.parametrize("selector", CHOSEN_BY)
def test_a_hundred_thousand_are_revoked_in_ten_seconds_under_traffic(
    postgres: PostgresServer, start: StartSite, selector: str
) -> None:
    asyncio.run(open_many(postgres.url, SESSIONS, FEW_USERS))
    site = start(postgres.url, {})
    tokens = some(postgres.url)
    assert accepted(site, tokens) == len(tokens)

    with site.traffic() as traffic, time_lost() as lost:
        begun = time.monotonic()
        done = run([sys.executable, "-m", "scripts", *CHOSEN_BY[selector]], env_of(site), seconds=90)
        took, taken = time.monotonic() - begun, lost()
        still_accepted = accepted(site, tokens)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("100,000 sessions of 100 users revoked; effective everywhere ("), done
    assert done.stdout.endswith(" s, confirmed by Redis).\n")
    assert still_accepted == 0
    assert_within(10, took, f"for {taken:.1f} s of that, others had the machine")
    # Who was not chosen does not notice.
    assert_kept(traffic.books, within=2)


def test_everybody_is_signed_out_at_once(postgres: PostgresServer, site: Site) -> None:
    tokens = [*some(postgres.url), *(caller.token() for caller in site.callers)]

    done = run_module("scripts", "tokens", "revoke", "--all", "--yes", env=env_of(site))

    assert done.stdout.startswith("100,002 sessions of 1,001 users revoked; effective everywhere ("), done
    assert accepted(site, tokens) == 0
    assert number_of(postgres.url, ALIVE) == 0
    # One entry for each user in the list of every process, and not one for each session.
    assert number_of(postgres.url, "revoked_change IS NOT NULL") == 0


def test_what_an_interrupted_command_said_is_true_and_another_run_does_the_rest(
    postgres: PostgresServer, site: Site
) -> None:
    with revoking(site) as command:
        wait_until(lambda: number_of(postgres.url, REVOKED) > 5000, 15)
        command.send_signal(signal.SIGINT)
        out, error = command.communicate(timeout=10)
    said = BROKEN_OFF.fullmatch(error)

    assert (command.returncode, out) == (130, "")
    assert said, error
    assert int(said[1].replace(",", "")) == number_of(postgres.url, REVOKED) < SESSIONS
    assert accepted(site, some(postgres.url, REVOKED)) == 0
    assert accepted(site, some(postgres.url, ALIVE)) == 200
    rest = f"{number_of(postgres.url, ALIVE):,} sessions of"
    assert run_module("scripts", *REVOKE, env=env_of(site)).stdout.startswith(rest)
    again = run_module("scripts", *REVOKE, env=env_of(site))
    assert again.stdout == "Nothing to revoke: no session was alive.\n"


def test_a_killed_command_has_said_nothing_and_another_run_does_the_rest(
    postgres: PostgresServer, site: Site
) -> None:
    with revoking(site) as command:
        wait_until(lambda: number_of(postgres.url, REVOKED) > 5000, 15)
        command.kill()
        out, error = command.communicate(timeout=10)
    time.sleep(0.6)  # nothing was acknowledged, but by now every list has it

    assert (out, error) == ("", "")
    assert 0 < number_of(postgres.url, REVOKED) < SESSIONS
    assert accepted(site, some(postgres.url, REVOKED)) == 0
    assert accepted(site, some(postgres.url, ALIVE)) == 200
    done = run_module("scripts", *REVOKE, "--json", env=env_of(site))
    assert (done.returncode, json.loads(done.stdout)["complete"]) == (0, True)
    assert number_of(postgres.url, ALIVE) == 0


def test_without_redis_there_is_one_wait_and_an_old_snapshot_brings_none_back(
    postgres: PostgresServer, redis: RedisServer, site: Site
) -> None:
    tokens = some(postgres.url)
    assert accepted(site, tokens) == 2 * len(tokens)
    snapshot = redis.save()
    redis.kill()

    done = run_module("scripts", *REVOKE, env=env_of(site))
    without_redis = accepted(site, tokens)
    redis.restart(snapshot)
    assert_within(5, site.recovered_in(5))

    assert re.fullmatch(
        r"100,000 sessions of 1,000 users revoked; effective everywhere"
        r" \(waited 0\.[4-6] s; Redis will be told when it is back\)\.\n",
        done.stdout,
    ), done
    assert without_redis == accepted(site, tokens) == 0


def test_a_lost_database_is_told_with_what_was_done(postgres: PostgresServer, site: Site) -> None:
    with revoking(site, "--json") as command:
        wait_until(lambda: number_of(postgres.url, REVOKED) > 5000, 15)
        postgres.kill()
        out, _ = command.communicate(timeout=20)
    postgres.start()
    facts = json.loads(out)

    assert (command.returncode, facts["complete"], facts["stopped_by"]) == (1, False, "database")
    # What was on its way when the database went may have been committed all the same.
    assert 5000 < facts["sessions_revoked"] <= number_of(postgres.url, REVOKED) < SESSIONS
    assert accepted(site, some(postgres.url, REVOKED)) == 0


def env_of(site: Site) -> dict[str, str]:
    """Give a command the settings of the instances, and a way of its own to Redis."""
    return {**site.instances[0].env, "REDIS_URL": f"redis://127.0.0.1:{site.redis.port}/0"}


@contextmanager
def revoking(site: Site, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """Have the command at work for the block; whatever is left of it then is killed."""
    command = subprocess.Popen(
        [sys.executable, "-m", "scripts", *REVOKE, *options],
        env=env_of(site),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield command
    finally:
        command.kill()
        command.wait()


def accepted(site: Site, tokens: Sequence[str]) -> int:
    """Count how often the instances accept the tokens."""
    return sum(caller.who_am_i(token).status == 200 for caller in site.callers for token in tokens)
