"""The parent of the workers paces their replacement, and ends when it is told to and not before."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from tests.process.running import ROOT

pytestmark = pytest.mark.thorough

# Every worker says that it was born, and then does what the test wants.
PROGRAM = """
import os
from datetime import timedelta
from service import supervisor
from service.supervisor import Supervisor

%s

def work(parent, number):
    os.write(1, b"born\\n")
    %s

Supervisor(work, 2, timedelta(seconds=5)).run()
"""
UNTIL_THE_END_OF_THE_PARENT = "os.read(parent, 1)"
NOT_AT_ALL = "os._exit(1)"
# Serves after a moment, and tells of it; leaves at once, and tells of that.
SERVING = """
    import signal, time
    from service import heartbeats

    def leave(*_):
        os.write(1, b"leaves %d %d\\n" % (number, os.getppid()))
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    if {dies}:
        os._exit(1)
    time.sleep(0.8)  # longer than the parent sleeps
    heartbeats.beat(number)
    os.write(1, b"serves %d %d\\n" % (number, os.getppid()))
    os.read(parent, 1)
"""
# The third time, it cannot fork.
FORK_FAILS = """
import errno, itertools
fork, forks = os.fork, itertools.count(1)

def fork_or_fail():
    if next(forks) == 3:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
    return fork()

os.fork = fork_or_fail
"""
HASTY = "supervisor._STUCK_LOOKS = 2"
AS_A_NUMBER = 'os.write(1, b"%d %d\\n" % (number, os.getpid())); os.read(parent, 1)'


def test_workers_that_die_at_once_are_replaced_after_a_pause() -> None:
    with supervisor(NOT_AT_ALL) as (_, output):
        output.readline()
        start = time.monotonic()

        for _ in range(4):
            assert output.readline()

        # The first two, a second, two more, a second, and the fifth.
        assert time.monotonic() - start > 1.8


def test_the_end_of_the_process_that_started_it_does_not_stop_it() -> None:
    with supervisor(UNTIL_THE_END_OF_THE_PARENT) as (shell, output):
        assert output.readline()
        assert output.readline()

        shell.kill()
        shell.wait()

        ended, _, _ = select.select([output], [], [], 1.2)
        assert not ended


def test_a_replacement_takes_the_number_of_the_dead() -> None:
    with supervisor(AS_A_NUMBER) as (_, output):
        workers = dict(numbers_and_pids(output, 2))

        os.kill(workers[1], signal.SIGKILL)

        assert workers.keys() == {1, 2}
        ((number, pid),) = numbers_and_pids(output, 1)
        assert (number, pid not in workers.values()) == (1, True)


def test_in_a_roll_nobody_leaves_before_somebody_else_serves() -> None:
    with supervisor(SERVING.format(dies=False)) as (_, output):
        started = told(output, 2)

        os.kill(started[0][2], signal.SIGHUP)

        rolled = told(output, 4)
        assert {(what, number) for what, number, _ in started} == {("serves", 1), ("serves", 2)}
        assert [what for what, _, _ in rolled] == ["serves", "leaves", "serves", "leaves"]
        assert {number for what, number, _ in rolled if what == "leaves"} == {1, 2}


def test_a_roll_is_given_up_when_the_first_newcomer_dies() -> None:
    with supervisor(SERVING.format(dies="number == 3")) as (_, output):
        started = told(output, 2)

        os.kill(started[0][2], signal.SIGHUP)

        assert output.readline() == b"born\n"
        after, _, _ = select.select([output], [], [], 2.5)
        assert not after


def test_a_fork_that_fails_is_tried_again_after_a_pause() -> None:
    with supervisor(AS_A_NUMBER, FORK_FAILS) as (_, output):
        workers = dict(numbers_and_pids(output, 2))
        start = time.monotonic()

        os.kill(workers[1], signal.SIGKILL)

        assert output.readline() == b"born\n"
        assert time.monotonic() - start > 0.9
        ((number, pid),) = numbers_and_pids(output, 1)
        assert (number, pid not in workers.values()) == (1, True)
        os.kill(workers[2], 0)


def test_a_roll_is_given_up_when_there_is_no_fork_for_it() -> None:
    with supervisor(SERVING.format(dies=False), FORK_FAILS) as (_, output):
        started = told(output, 2)

        os.kill(started[0][2], signal.SIGHUP)

        after, _, _ = select.select([output], [], [], 2.5)
        assert not after


def test_sighup_again_does_not_have_a_roll_wait_for_a_stuck_newcomer_for_good() -> None:
    with supervisor(SERVING.format(dies="number == 3 and os.read(parent, 1)"), HASTY) as (_, output):
        started = told(output, 2)
        os.kill(started[0][2], signal.SIGHUP)
        assert output.readline() == b"born\n"

        os.kill(started[0][2], signal.SIGHUP)

        # It is given up, and no other is tried until somebody says so.
        after, _, _ = select.select([output], [], [], 4)
        assert not after
        os.kill(started[0][2], signal.SIGHUP)
        assert select.select([output], [], [], 4)[0]
        assert output.readline() == b"born\n"


def told(output: IO[bytes], count: int) -> list[tuple[str, int, int]]:
    """Read so many times that a worker serves or leaves, its number, and the id of its parent."""
    found: list[tuple[str, int, int]] = []
    while len(found) < count:
        words = output.readline().split()
        if len(words) == 3:
            found.append((words[0].decode(), int(words[1]), int(words[2])))
    return found


def numbers_and_pids(output: IO[bytes], count: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while len(found) < count:
        words = output.readline().split()
        if len(words) == 2:
            found.append((int(words[0]), int(words[1])))
    return found


@contextmanager
def supervisor(work: str, before: str = "") -> Iterator[tuple["subprocess.Popen[bytes]", IO[bytes]]]:
    """Have a shell run a supervisor of two such workers; give it and what they print until all have ended."""
    program = [sys.executable, "-c", PROGRAM % (before, work)]
    with subprocess.Popen(
        ["sh", "-c", '"$@" & wait', "sh", *program],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as shell:
        assert shell.stdout is not None
        try:
            yield shell, shell.stdout
        finally:
            os.killpg(shell.pid, signal.SIGTERM)
            shell.stdout.read()
