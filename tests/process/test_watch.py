"""An operator watches a service under attack, and is told which source of what is seen does not answer."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.process.blocks import add_user, block, hours
from tests.process.running import ROOT, RunningService, needs_proc, run, run_module, running_service

pytestmark = [needs_proc, pytest.mark.thorough]

WATCH = [sys.executable, "-m", "scripts", "watch"]
NOWHERE = "http://127.0.0.1:1"
COLUMNS = 80


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Keep a service with one session, one block, and two accounts that somebody guesses at."""
    env = {"WEB_CONCURRENCY": "1", "METRICS_TOKEN": "collector"}
    with running_service(tmp_path_factory.mktemp("watch"), **env) as running:
        for _ in range(2):
            running.log_in("nobody", "wrong")
        running.log_in("causas", "wrong")  # from a network she is not known from yet
        running.token()
        add_user(running, "bea")
        block(running, "bea", hours(2))
        yield running


def test_it_shows_sessions_blocks_and_attacks_in_80_columns(service: RunningService) -> None:
    done = service.scripts("watch", "--once")

    assert (done.returncode, done.stderr) == (0, "")
    shown = [line.split() for line in done.stdout.splitlines()]
    assert ["sessions", "alive", "1"] in shown
    assert ["degraded", "nothing"] in shown
    assert ["127.0.0.1", "3"] in shown
    assert ["bea", "0", "100"] in shown
    assert any(words[:3] == ["(no", "such", "user)"] and words[4:] == ["2", "2"] for words in shown)
    assert any(words[:3] == ["blocked", "accounts", "(1)"] for words in shown)
    assert max(map(len, done.stdout.splitlines())) <= COLUMNS


def test_the_account_that_is_tried_most_comes_first(service: RunningService) -> None:
    accounts = facts(service)["accounts"]

    assert [(one["user"], one["attempts"]) for one in accounts] == [(None, 2), ("causas", 1), ("bea", 0)]


def test_it_tells_how_many_logins_end_how(service: RunningService) -> None:
    with subprocess.Popen(
        [*WATCH, "--once", "--json", "--every", "1"], env=service.env, cwd=ROOT, stdout=subprocess.PIPE
    ) as watching:
        while watching.poll() is None:
            service.token()
        told = json.loads(watching.communicate()[0])

    assert told["logins_per_second"]["ok"] > 0
    assert told["logins_per_second"]["overloaded"] == 0


def test_in_a_pipe_it_is_a_line_for_each_look_until_it_is_interrupted(service: RunningService) -> None:
    with subprocess.Popen(
        [*WATCH, "--every", "0.5"], env=service.env, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        lines = [watching.stdout.readline() for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 130

    assert all(" sessions=" in line and line.endswith("degraded=nothing\n") for line in lines)


def test_it_ends_when_nobody_reads_it_any_more(service: RunningService) -> None:
    done = run(["sh", "-c", f"{sys.executable} -m scripts watch --every 0.5 | head -1"], service.env)

    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 1, "")


def test_on_a_terminal_it_is_a_live_screen(service: RunningService) -> None:
    ours, its = pty.openpty()
    env = {**service.env, "TERM": "xterm", "COLUMNS": "80", "LINES": "40"}
    with subprocess.Popen([*WATCH, "--every", "0.5"], env=env, cwd=ROOT, stdout=its, stderr=its) as watching:
        os.close(its)
        shown = b""
        while shown.count(b"sessions alive") < 2:
            shown += os.read(ours, 65536)
        watching.send_signal(signal.SIGTERM)
        while watching.poll() is None:
            shown += read_if_any(ours)

    assert watching.returncode == 130
    # It begins on a screen of its own, and leaves that again.
    assert shown.index(b"\x1b[?1049h") < shown.index(b"sessions alive") < shown.index(b"\x1b[?1049l")


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        (
            "DATABASE_URL",
            "postgres://a:b@127.0.0.1:1/c",
            "The database does not answer here: attacks are not seen.",
        ),
        ("REDIS_URL", "redis://127.0.0.1:1/0", "Redis does not answer here."),
        ("PORT", "1", "No service answers at http://localhost:1."),
        ("METRICS_TOKEN", "another", "wants its METRICS_TOKEN, and this is none or another."),
    ],
)
def test_a_source_that_does_not_answer_is_named(
    service: RunningService, setting: str, value: str, sentence: str
) -> None:
    done = run_module("scripts", "watch", "--once", env={**service.env, setting: value})

    assert (done.returncode, done.stderr) == (0, "")
    assert sentence in " ".join(done.stdout.split())


def test_a_url_of_another_kind_is_wrong_usage(service: RunningService) -> None:
    assert service.scripts("watch", "--once", "--url", "file:///etc").returncode == 2


def facts(service: RunningService) -> Any:
    done = service.scripts("watch", "--once", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def read_if_any(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux: the other end is closed
        return b""
