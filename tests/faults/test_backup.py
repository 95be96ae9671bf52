"""After the restore of an older backup, done as documented, nobody is back who was sent away."""

import json
import re
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.backoffice import PASSWORD
from tests.faults.servers import RedisServer
from tests.faults.traffic import GUESSED, USER
from tests.process.running import ROOT, SERVICE, clean_env, free_port, run_module, running

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "operations.md"
# The time of the backup, as the page has it.
BACKUP_AT = "2026-11-24T03:00Z"
CREATE, SET_PASSWORD, DISABLE = (
    ("users", "create", "--generate"),
    ("users", "set-password", "--generate"),
    ("users", "disable"),
)
AGAIN = {"user_created": CREATE, "password_set": SET_PASSWORD, "user_disabled": DISABLE}


@pytest.fixture
def env(sqlite: Path, redis: RedisServer, tmp_path: Path) -> dict[str, str]:
    return clean_env(
        tmp_path,
        DATABASE_URL=f"sqlite://{sqlite}",
        REDIS_URL=redis.url,
        JWT_SECRET=secrets.token_hex(32),
        PORT=str(free_port()),
        WEB_CONCURRENCY="1",
    )


def test_a_restored_backup_brings_no_ended_session_back(
    env: dict[str, str], sqlite: Path, redis: RedisServer, tmp_path: Path
) -> None:
    with running(SERVICE, tmp_path, env) as service:
        token = service.token(USER, PASSWORD)
    backup = shutil.copy(sqlite, tmp_path / "backup.sqlite3")
    with running(SERVICE, tmp_path, env) as service:
        service.scripts("tokens", "revoke", "--user", USER).check_returncode()
        assert service.who_am_i(token).status_code == 401

    shutil.copy(backup, sqlite)
    run_module("scripts", "migrate", env=env).check_returncode()
    redis.client.flushdb()
    with running(SERVICE, tmp_path, env | {"JWT_SECRET": secrets.token_hex(32)}) as service:
        old, new = service.who_am_i(token), service.who_am_i(service.token(USER, PASSWORD))

        assert (old.status_code, new.status_code) == (401, 200)


def test_what_was_done_since_the_backup_is_kept_as_documented_and_can_be_done_again(
    env: dict[str, str], sqlite: Path, redis: RedisServer, tmp_path: Path
) -> None:
    backup, backup_at = shutil.copy(sqlite, tmp_path / "backup.sqlite3"), datetime.now(UTC)
    with running(SERVICE, tmp_path, env) as service:
        for user, command in (("eve", CREATE), (USER, SET_PASSWORD), (GUESSED, DISABLE)):
            service.scripts(*command, user).check_returncode()

    events, users = kept(env, backup_at)
    shutil.copy(backup, sqlite)
    run_module("scripts", "migrate", env=env).check_returncode()
    redis.client.flushdb()
    env["JWT_SECRET"] = secrets.token_hex(32)
    names = {user["id"]: user["user"] for user in users}
    for event in events:
        if (again := AGAIN.get(event["event"])) is not None:
            run_module("scripts", *again, names[event["user_id"]], env=env).check_returncode()

    with running(SERVICE, tmp_path, env) as service:
        refused = [service.log_in(user, PASSWORD).status_code for user in (USER, GUESSED)]
        assert refused == [401, 401]
        assert service.scripts("users", "show", "eve").returncode == 0
        # The record is all there is: the log does not know of it.
        assert [event for event in AGAIN if event in service.log()] == []


def kept(env: dict[str, str], since: datetime) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run the commands of the page; return the events since then, and the users."""
    section = PAGE.read_text(encoding="utf-8").partition("## Backup and restore")[2].partition("\n## ")[0]
    commands = re.findall(r"^ *python -m scripts (.*) > ", section, re.MULTILINE)
    exported, listed = (
        run_module("scripts", *command.replace(BACKUP_AT, since.isoformat()).split(), env=env).stdout
        for command in commands
    )
    return [json.loads(line) for line in exported.splitlines()], json.loads(listed)["users"]
