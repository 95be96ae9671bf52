"""An operator's commands say what they did, to people and to programs, and exit accordingly."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests import stores_in_use
from tests.backoffice import PASSWORD
from tests.process.running import DEMO_PASSWORD, RunningService, clean_env, run_module, running_service

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
    assert set(session) == {"id", "user", "started_at", "expires_at", "ip", "user_agent"}


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
        ("tokens", "revoke", "--user", "causas", "--token-stdin"),
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
    server = stores_in_use.wanted()[0] or stores_in_use.LOCAL_POSTGRES
    if not stores_in_use._answers(server):
        pytest.skip("no PostgreSQL answers here")
    with stores_in_use.postgres_database(server) as url:
        env = clean_env(tmp_path, DATABASE_URL=url, JWT_SECRET="s" * 32)

        migrated = migrate_in_parallel(env)

    assert_migrated_once(migrated)


def migrate_in_parallel(env: dict[str, str]) -> list[Done]:
    with ThreadPoolExecutor(6) as pool:
        return list(pool.map(lambda _: run_module("scripts", "migrate", "--json", env=env), range(6)))


def assert_migrated_once(migrated: list[Done]) -> None:
    assert [(done.returncode, done.stderr) for done in migrated] == [(0, "")] * 6
    applied = [name for done in migrated for name in facts_of(done)["applied"]]
    assert applied
    assert len(applied) == len(set(applied))


def create(service: RunningService, user: str, *options: str) -> Done:
    return service.scripts("users", "create", user, "--password-stdin", *options, input=f"{PASSWORD}\n")


def set_password(service: RunningService, user: str, password: str, *options: str) -> Done:
    return service.scripts("users", "set-password", user, "--password-stdin", *options, input=f"{password}\n")


def said(done: Done) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


def facts_of(done: Done) -> Any:
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)
