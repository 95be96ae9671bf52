"""An operator who revokes is asked, told the truth, and may turn away at any time."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from tests.backoffice import PASSWORD
from tests.process.running import ROOT, RunningService, run, running_service
from tests.timing import TooLate

pytestmark = pytest.mark.thorough

PYTHON = [sys.executable, "-m", "scripts"]
UNREACHABLE = 3  # the exit code of a command whose database does not answer
_PATIENCE_SECONDS = 15.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("revoke"), LIMIT_LOGIN="0", WEB_CONCURRENCY="1") as running:
        created = running.scripts("users", "create", "bea", "--password-stdin", input=PASSWORD)
        created.check_returncode()
        yield running


@pytest.fixture
def tokens(service: RunningService) -> tuple[str, str]:
    """The only two sessions there are: of causas, and of bea."""
    service.scripts("tokens", "revoke", "--all", "--yes").check_returncode()
    return service.token(), service.token("bea", PASSWORD)


def statuses(service: RunningService, tokens: tuple[str, str]) -> list[int]:
    return [service.who_am_i(token).status_code for token in tokens]


def test_a_dry_run_tells_what_would_end_and_ends_nothing(
    service: RunningService, tokens: tuple[str, str]
) -> None:
    done = service.scripts("tokens", "revoke", "--network", "127.0.0.0/8", "--dry-run")

    sentence, empty, heading, *rows = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert (sentence, empty) == ("2 sessions of 2 users would be revoked.", "")
    assert heading.split() == ["newest", "since", "address", "agent"]
    assert len(rows) == 2
    assert statuses(service, tokens) == [200, 200]


def test_one_user_is_revoked_without_a_question(service: RunningService, tokens: tuple[str, str]) -> None:
    done = service.scripts("tokens", "revoke", "--user", "CAUSAS")

    assert re.fullmatch(
        r"1 session of 1 user revoked; effective everywhere \([0-9]\.[0-9] s, confirmed by Redis\)\.\n",
        done.stdout,
    ), done
    assert statuses(service, tokens) == [401, 200]


def test_the_second_run_changes_nothing_and_says_so(service: RunningService, tokens: tuple[str, str]) -> None:
    first = service.scripts("tokens", "revoke", "--agent", "httpx", "--yes", "--json")
    second = service.scripts("tokens", "revoke", "--agent", "httpx", "--yes")

    facts = json.loads(first.stdout)
    assert (facts["sessions_found"], facts["sessions_revoked"], facts["users"]) == (2, 2, 2)
    assert (facts["complete"], facts["confirmed_by"]) == (True, "redis")
    assert (second.returncode, second.stdout) == (0, "Nothing to revoke: no session was alive.\n")
    assert statuses(service, tokens) == [401, 401]


@pytest.mark.parametrize(
    "selector", [("--all",), ("--user", "causas", "--user", "bea"), ("--agent", "httpx")]
)
def test_without_a_terminal_several_users_want_a_yes(
    service: RunningService, tokens: tuple[str, str], selector: tuple[str, ...]
) -> None:
    done = service.scripts("tokens", "revoke", *selector, input="y\n")

    assert (done.returncode, done.stdout) == (2, "")
    assert "This revokes 2 sessions of 2 users." in " ".join(done.stderr.replace("│", " ").split())
    assert statuses(service, tokens) == [200, 200]


@pytest.mark.parametrize(("answer", "code", "after"), [("y\n", 0, 401), ("n\n", 1, 200), ("\x03", 130, 200)])
def test_on_a_terminal_the_question_is_asked_and_ctrl_c_is_a_no(
    service: RunningService, tokens: tuple[str, str], answer: str, code: int, after: int
) -> None:
    with on_a_terminal(service, "tokens", "revoke", "--all") as (command, terminal):
        said = read_until(terminal, "[y/N]")
        terminal.write(answer.encode())
        # A terminal whose output nobody reads holds back whoever writes to it.
        said += read_to_the_end(terminal)
        command.wait(_PATIENCE_SECONDS)

    assert "This revokes 2 sessions of 2 users." in said
    assert command.returncode == code, said
    assert ("revoked; effective everywhere" in said) == (code == 0)
    assert "Traceback" not in said
    assert statuses(service, tokens) == [after, after]


def test_a_list_on_a_terminal_is_as_wide_as_that(service: RunningService, tokens: tuple[str, str]) -> None:
    assert statuses(service, tokens) == [200, 200]

    with on_a_terminal(service, "sessions", "list", COLUMNS="140") as (_, terminal):
        wide = read_to_the_end(terminal)
    narrow = service.scripts("sessions", "list").stdout

    assert "python-httpx/" in wide
    assert max(len(line) for line in narrow.splitlines()) <= 80


@pytest.mark.parametrize(
    "command",
    [
        "tokens revoke --user bea",
        "sessions list",
        "users list",
        "users list --json",
        "keys generate 2>/dev/null",
        "events tail --follow",
        "events export",
    ],
)
def test_nobody_who_reads_the_answer_is_no_failure(
    service: RunningService, tokens: tuple[str, str], command: str
) -> None:
    pipe = f"{sys.executable} -m scripts {command} | true; echo ${{PIPESTATUS[0]}}"

    done = run(["bash", "-c", pipe], service.env)

    assert (done.stdout, done.stderr) == ("0\n", "")
    assert statuses(service, tokens) == [200, 401 if "revoke" in command else 200]


def test_ctrl_c_while_a_command_looks_ends_it_with_one_sentence(service: RunningService) -> None:
    # A database that takes connections and never answers, so that there is the time to interrupt.
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"postgres://nobody@127.0.0.1:{silent.getsockname()[1]}/none?sslmode=disable"
    with (
        silent,
        subprocess.Popen(
            [*PYTHON, "sessions", "list"],
            env={**service.env, "DATABASE_URL": url, "JWT_SECRET": "s" * 32, "DATABASE_TIMEOUT": "4s"},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as command,
    ):
        silent.settimeout(_PATIENCE_SECONDS)
        asked, _ = silent.accept()
        command.send_signal(signal.SIGINT)
        out, error = command.communicate(timeout=20)
        asked.close()

    if command.returncode == UNREACHABLE:
        message = f"The database was given up before the interruption came: {error}"
        raise TooLate(message)
    assert (command.returncode, out) == (130, "")
    assert error.startswith("Interrupted: ")
    assert len(error.splitlines()) == 1


@contextmanager
def on_a_terminal(
    service: RunningService, *words: str, **env: str
) -> Iterator[tuple["subprocess.Popen[bytes]", IO[bytes]]]:
    """Run a command whose terminal is the other end of what is yielded."""
    ours, theirs = pty.openpty()
    # In a session of its own with this as its terminal, or Ctrl-C would mean nothing.
    sit_down = "import os, sys; os.login_tty(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    program = [sys.executable, "-c", sit_down, *PYTHON[1:], *words]
    with open(ours, "r+b", buffering=0) as terminal:  # noqa: PTH123 - a descriptor
        command = subprocess.Popen(program, env={**service.env, **env}, cwd=ROOT, stdin=theirs)
        os.close(theirs)
        try:
            yield command, terminal
        finally:
            command.kill()
            command.wait()


def read_until(terminal: IO[bytes], word: str) -> str:
    said = ""
    while word not in said and (more := read_some(terminal)):
        said += more
    return said


def read_to_the_end(terminal: IO[bytes]) -> str:
    return "".join(iter(lambda: read_some(terminal), ""))


def read_some(terminal: IO[bytes]) -> str:
    assert select.select([terminal], [], [], _PATIENCE_SECONDS)[0], "the command says nothing"
    try:
        return os.read(terminal.fileno(), 4096).decode()
    except OSError:  # Linux says so when the other end is closed
        return ""
