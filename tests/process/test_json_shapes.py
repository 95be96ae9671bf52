"""What the commands print with --json has the fields that the page for operators lists."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
import typer

from scripts.command_line import app
from tests.process.blocks import block, execute
from tests.process.running import ROOT, RunningService, running_service
from tests.process.test_help_examples import commands
from tests.timing import wait_until

pytestmark = pytest.mark.thorough

PAGE = ROOT / "docs" / "operations.md"
MARK = "<!-- tested: tests/process/test_json_shapes.py runs every row -->"
LONG_AGO = "2001-01-01 00:00:00+00:00"
# One of every table that is pruned.
OLD_ROWS = (
    (
        "INSERT INTO sessions (id, user_id, version, ip, agent, started_at, expires_at, last_seen_at)"
        " SELECT 'old', id, 1, '', '', ?, ?, ? FROM users LIMIT 1"
    ),
    "INSERT INTO issued_tokens (jti, session_id, issued_at, expires_at) VALUES ('old', 'old', ?, ?)",
    (
        "INSERT INTO known_networks (user_id, network, last_login_at, consecutive_failures)"
        " SELECT id, '203.0.113.9', ?, 0 FROM users LIMIT 1"
    ),
    "INSERT INTO login_failures (account, consecutive, blocks, updated_at) VALUES ('old', 1, 0, ?)",
    "INSERT INTO security_events (name, at, details, count) VALUES ('login_ok', ?, '{}', 1)",
)
# The command as the page has it, what else it is given, and what it reads. The events are read before there
# are any with details of their own.
RUNS: Mapping[str, tuple[str, str]] = {
    "users create": ("ada --generate", ""),
    "events tail": ("", ""),
    "events export": ("", ""),
    "logins explain": ("causas --network 203.0.113.7", ""),
    "logins blocks": ("", ""),
    "logins unblock": ("blocked", ""),
    "keys list": ("", ""),
    "doctor": ("", ""),
    "migrate": ("", ""),
    "demo": ("", ""),
    "prune": ("", ""),
    "tokens revoke --dry-run": ("--all", ""),
    "sessions list": ("", ""),
    "tokens revoke": ("--user causas", ""),
    "users list": ("", ""),
    "watch --once": ("", ""),
    "users show": ("causas", ""),
    "users set-password": ("causas --generate", ""),
    "users rename": ("causas --name Secundus", ""),
    "users disable": ("causas", ""),
    "users enable": ("causas", ""),
    "users delete": ("causas --yes", ""),
    "users import": ("-", "user,password_hash\nx,y\n"),
}


def documented() -> dict[str, str]:
    table = PAGE.read_text().split(MARK)[1].split("\n\n")[1]
    rows = (line.strip("| ").split(" | ", 1) for line in table.splitlines()[2:])
    return {command.strip("`"): fields for command, fields in rows}


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("json"), LIMIT_LOGIN="0", WEB_CONCURRENCY="1") as running:
        running.token()
        running.log_in("nobody", "wrong")
        wait_until(lambda: has_rows_of(running, "login_ok", "login_refused"), 10)
        block(running, "blocked", timedelta(hours=1))
        leave_something_old(running)
        yield running


def has_rows_of(service: RunningService, *events: str) -> bool:
    told = service.scripts("events", "export").stdout
    return all(event in told for event in events)


def leave_something_old(service: RunningService) -> None:
    for statement in OLD_ROWS:
        execute(service, statement, *[LONG_AGO] * statement.count("?"))


def test_every_command_has_the_fields_that_are_listed(service: RunningService) -> None:
    found = {command: fields_of(service, command) for command in RUNS}

    assert found == {command: set(named(fields)) for command, fields in documented().items()}


def test_every_command_that_has_the_option_is_listed() -> None:
    listed = {command.partition(" --")[0] for command in documented()}
    with_json = {
        name
        for name, command in commands(typer.main.get_command(app))
        if any(option.name == "json" for option in command.params)
    }

    assert listed == with_json


def fields_of(service: RunningService, command: str) -> set[str]:
    """Name the fields of every line, and those of the first of a list."""
    options, reads = RUNS[command]
    done = service.scripts(*command.split(), *options.split(), "--json", input=reads)
    assert done.stdout, (command, done.stderr)
    return {name for line in done.stdout.splitlines() for name in fields_in(json.loads(line))}


def fields_in(facts: dict[str, Any]) -> Iterator[str]:
    yield from facts
    for value in facts.values():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield from value[0]


def named(fields: str) -> Iterator[str]:
    """Read the names, without the values that a field may have."""
    yield from re.findall(r"`([a-z_]+)`", re.sub(r"\((?!of each)[^)]*\)", "", fields))
