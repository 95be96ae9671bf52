"""An operator's commands say what they did, to people and to programs, and exit accordingly."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from scripts.command_line import run as run_command
from tests import stores_in_use
from tests.backoffice import PASSWORD
from tests.process.running import (
    DEMO_PASSWORD,
    ROOT,
    RunningService,
    clean_env,
    need_postgres,
    run,
    run_module,
    running_service,
)

pytestmark = pytest.mark.thorough

OTHER_PASSWORD = "an entirely different sentence"
TOO_SHORT = "The password field must be at least 15 characters."

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("scripts"), LIMIT_LOGIN="0") as running:
        yield running


@pytest.fixture(scope="module")
def idle(service: RunningService) -> str:
    """A user who never signs in."""
    create(service, "idle").check_returncode()
    return "idle"


@pytest.fixture(scope="module")
def token_of_june(service: RunningService) -> str:
    """The token of june's only session."""
    create(service, "june").check_returncode()
    return service.token("june", PASSWORD)


def test_a_created_user_can_sign_in(service: RunningService) -> None:
    done = create(service, "Ada")

    assert said(done) == (0, "User Ada created.\n", "")
    assert service.log_in("ada", PASSWORD).status_code == 200


def test_a_created_user_is_described_as_json(service: RunningService) -> None:
    done = create(service, "bea", "--name", "Bea Arthur", "--json")

    facts = facts_of(done)
    assert isinstance(facts.pop("id"), int)
    assert facts == {"user": "bea", "name": "Bea Arthur"}


def test_a_taken_user_name_is_refused(service: RunningService, idle: str) -> None:
    done = create(service, idle.upper())

    assert said(done) == (1, "", f"There is a user {idle.upper()} already.\n")


def test_a_user_with_too_short_a_password_is_not_created(service: RunningService) -> None:
    done = service.scripts("users", "create", "dora", "--password-stdin", input="short\n")

    assert said(done) == (1, "", f"{TOO_SHORT}\n")
    assert "no user dora" in service.scripts("users", "enable", "dora").stderr


def test_a_password_is_replaced_and_the_sessions_of_the_old_one_end(service: RunningService) -> None:
    create(service, "ella")
    token = service.token("ella", PASSWORD)

    done = set_password(service, "ella", OTHER_PASSWORD)

    assert said(done) == (0, "Password of ella set; 1 session ended.\n", "")
    assert service.who_am_i(token).status_code == 401
    assert service.log_in("ella", PASSWORD).status_code == 401
    assert service.log_in("ella", OTHER_PASSWORD).status_code == 200


def test_a_replaced_password_is_reported_as_json(service: RunningService, idle: str) -> None:
    done = set_password(service, idle, OTHER_PASSWORD, "--json")

    assert facts_of(done) == {"sessions_ended": 0}


def test_a_password_is_not_replaced_by_too_short_a_one(service: RunningService) -> None:
    done = set_password(service, "causas", "short")

    assert said(done) == (1, "", f"{TOO_SHORT}\n")
    assert service.log_in("causas", DEMO_PASSWORD).status_code == 200


def test_a_disabled_user_is_out_until_enabled_and_her_old_session_stays_dead(service: RunningService) -> None:
    create(service, "hedy")
    token = service.token("hedy", PASSWORD)

    disabled = service.scripts("users", "disable", "hedy")
    refused = service.log_in("hedy", PASSWORD)
    enabled = service.scripts("users", "enable", "hedy")

    assert said(disabled) == (0, "User hedy disabled; 1 session ended.\n", "")
    assert refused.status_code == 401
    assert said(enabled) == (0, "User hedy enabled.\n", "")
    assert service.who_am_i(token).status_code == 401
    assert service.log_in("hedy", PASSWORD).status_code == 200


def test_disabling_and_enabling_are_reported_as_json(service: RunningService, idle: str) -> None:
    disabled = service.scripts("users", "disable", idle, "--json")
    enabled = service.scripts("users", "enable", idle, "--json")
    again = service.scripts("users", "enable", idle, "--json")

    assert facts_of(disabled) == {"sessions_ended": 0}
    assert facts_of(enabled) == {"changed": True}
    assert facts_of(again) == {"changed": False}


@pytest.mark.usefixtures("token_of_june")
def test_sessions_are_listed_for_people(service: RunningService) -> None:
    done = service.scripts("sessions", "list", "--user", "june")

    assert (done.returncode, done.stderr) == (0, "")
    heading, row, summary = done.stdout.splitlines()
    assert heading.split() == ["session", "user", "since", "until", "address", "agent"]
    assert "june" in row
    assert summary == "1 session; page 1 of 1."


def test_sessions_are_listed_as_json(service: RunningService, token_of_june: str) -> None:
    done = service.scripts("sessions", "list", "--user", "june", "--json")

    facts = facts_of(done)
    (session,) = facts.pop("sessions")
    assert facts == {"page": 1, "pages": 1, "total": 1}
    assert session["user"] == "june"
    assert session["id"] == service.who_am_i(token_of_june).json()["session"]["id"]
    assert set(session) == {*("id", "user", "started_at", "expires_at", "last_seen_at", "ip", "user_agent")}


@pytest.mark.parametrize(
    "command",
    [
        ("users", "set-password", "nobody", "--password-stdin"),
        ("users", "disable", "nobody"),
        ("users", "enable", "nobody"),
        ("sessions", "list", "--user", "nobody"),
        ("tokens", "revoke", "--user", "nobody"),
    ],
    ids=" ".join,
)
def test_an_unknown_user_is_named(service: RunningService, command: tuple[str, ...]) -> None:
    done = service.scripts(*command, input=f"{PASSWORD}\n")

    assert said(done) == (1, "", "There is no user nobody.\n")


@pytest.mark.parametrize(
    "command",
    [
        ("users", "create"),
        ("users", "bogus"),
        ("sessions", "list", "--page", "0"),
        ("tokens", "revoke"),
        ("tokens", "revoke", "--user", "causas", "--all"),
        ("tokens", "revoke", "--all"),  # asks, and there is no terminal
        ("tokens", "revoke", "--jti", "0" * 32, "--token-stdin"),
        ("tokens", "revoke", "--network", "203.0.113.7/24"),
        ("tokens", "revoke", "--agent", ""),
        ("tokens", "revoke", "--issued-before", "yesterday"),
        ("tokens", "revoke", "--issued-after", "2026-11-24T03:00:00"),  # where?
        ("tokens", "revoke", "--idle-for", "long"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_from_failure(service: RunningService, command: tuple[str, ...]) -> None:
    done = service.scripts(*command)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: python -m scripts" in done.stderr


def test_parallel_migrations_of_a_fresh_data_directory_all_succeed(tmp_path: Path) -> None:
    env = clean_env(tmp_path / "fresh")

    migrated = migrate_in_parallel(env)

    assert_migrated_once(migrated)


def test_parallel_migrations_of_an_empty_postgresql_database_all_succeed(tmp_path: Path) -> None:
    with stores_in_use.postgres_database(need_postgres()) as url:
        env = clean_env(tmp_path, DATABASE_URL=url, JWT_SECRET="s" * 32)

        migrated = migrate_in_parallel(env)

    assert_migrated_once(migrated)


def test_the_installed_command_completes_its_options(service: RunningService) -> None:
    typed = "backoffice tokens revoke --issued"
    asked = {"_BACKOFFICE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": "3"}
    called = "import sys; sys.argv = ['backoffice']; from scripts.command_line import run; run()"

    done = run([sys.executable, "-c", called], {**service.env, **asked})

    assert said(done) == (0, "--issued-before\n--issued-after\n", "")


def test_the_installed_command_is_the_one_that_is_run_here() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert EntryPoint("backoffice", project["scripts"]["backoffice"], "console_scripts").load() is run_command


def migrate_in_parallel(env: dict[str, str]) -> list[Done]:
    with ThreadPoolExecutor(6) as pool:
        return list(pool.map(lambda _: run_module("scripts", "migrate", "--json", env=env), range(6)))


def assert_migrated_once(migrated: list[Done]) -> None:
    assert [(done.returncode, done.stderr) for done in migrated] == [(0, "")] * 6
    applied = [name for done in migrated for name in facts_of(done)["applied"]]
    assert applied
    assert len(applied) == len(set(applied))


@pytest.mark.parametrize(("level", "heard"), [("INFO", ""), ("DEBUG", "redis_lost")])
def test_without_redis_a_command_says_only_what_it_did_unless_it_is_debugged(
    service: RunningService, idle: str, level: str, heard: str
) -> None:
    env = {**service.env, "REDIS_URL": "redis://127.0.0.1:1/0", "LOG_LEVEL": level}

    done = run_module("scripts", "tokens", "revoke", "--user", idle, env=env)

    assert (done.returncode, done.stdout) == (0, "Nothing to revoke: no session was alive.\n")
    assert heard in done.stderr
    assert bool(done.stderr) == bool(heard), done.stderr


def create(service: RunningService, user: str, *options: str) -> Done:
    return service.scripts("users", "create", user, "--password-stdin", *options, input=f"{PASSWORD}\n")


def set_password(service: RunningService, user: str, password: str, *options: str) -> Done:
    return service.scripts("users", "set-password", user, "--password-stdin", *options, input=f"{password}\n")


def said(done: Done) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


def facts_of(done: Done) -> Any:
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)
