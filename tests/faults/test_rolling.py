"""SIGHUP renews every worker, one by one, and nobody's request is dropped."""

import os
import pty
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.conftest import slowly
from tests.process.load import Asker, asking, coming, seeing
from tests.process.running import (
    DEMO_PASSWORD,
    ROOT,
    SERVICE,
    RunningService,
    clean_env,
    free_port,
    needs_proc,
    running_service,
    starting,
)
from tests.process.test_make_run import make_run_program
from tests.timing import happens, wait_until

pytestmark = [needs_proc, pytest.mark.thorough]

NewDirectory = Callable[[], Path]
NO_LIMITS = {"LIMIT_LOGIN": "0", "LIMIT_LOGIN_ACCOUNT": "0", "LIMIT_LOGIN_NETWORK": "0", "LIMIT_NETWORK": "0"}


@pytest.fixture
def new_directory(tmp_path_factory: pytest.TempPathFactory) -> NewDirectory:
    """Make a data directory with a path short enough for a socket, whatever the test is called."""
    return lambda: tmp_path_factory.mktemp("rolled")


@pytest.mark.parametrize("workers", [1, slowly(2)])
def test_sighup_replaces_every_worker_and_no_request_fails(new_directory: NewDirectory, workers: int) -> None:
    with running_service(new_directory(), WEB_CONCURRENCY=str(workers), **NO_LIMITS) as service:
        before = service.workers()
        with asking(*clients(service)) as answers:
            hang_up(service)

            wait_until(lambda: renewed(service, before, workers), 15)

    assert set(answers.statuses) == {200}, answers.statuses
    assert answers.statuses.total() > 50


@pytest.mark.slow
def test_sighup_again_in_the_middle_of_a_roll_fails_no_request_either(new_directory: NewDirectory) -> None:
    with running_service(new_directory(), WEB_CONCURRENCY="2", **NO_LIMITS) as service:
        before = service.workers()
        with asking(*clients(service)) as answers:
            hang_up(service)
            wait_until(lambda: len(service.workers() - before) == 1, 5)
            middle = service.workers()

            hang_up(service)

            wait_until(lambda: renewed(service, before | middle, 2), 20)

    assert set(answers.statuses) == {200}, answers.statuses


@pytest.mark.parametrize("delay", [slowly(0.0), slowly(0.2), 0.4, slowly(0.6), slowly(0.8)])
def test_a_sigterm_at_any_moment_of_a_roll_ends_everything_soon(
    new_directory: NewDirectory, delay: float
) -> None:
    with running_service(new_directory(), WEB_CONCURRENCY="2") as service:
        hang_up(service)
        time.sleep(delay)

        os.killpg(service.process.pid, signal.SIGTERM)

        assert service.exit_code_within(2) == 0
        assert not service.processes()


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_is_replaced_and_finishes(new_directory: NewDirectory) -> None:
    with running_service(new_directory(), WEB_CONCURRENCY="2", **NO_LIMITS) as service:
        wait_until(lambda: all(map(serves, service.workers())), 5)
        victim = min(service.workers())
        with asking(*clients(service)) as answers:
            os.kill(victim, signal.SIGTERM)

            wait_until(lambda: renewed(service, {victim}, 2), 10)

    assert set(answers.statuses) == {200}, answers.statuses
    assert "worker_died" not in service.log()


@pytest.mark.slow
def test_sighup_to_a_worker_changes_nothing(new_directory: NewDirectory) -> None:
    with running_service(new_directory(), WEB_CONCURRENCY="2") as service:
        before = service.workers()

        for worker in before:
            os.kill(worker, signal.SIGHUP)

        assert not happens(lambda: service.workers() != before, 1.5)


@pytest.mark.slow
def test_sighup_to_the_whole_group_rolls_the_workers(new_directory: NewDirectory) -> None:
    with running_service(new_directory(), WEB_CONCURRENCY="2") as service:
        before = service.workers()

        os.killpg(service.process.pid, signal.SIGHUP)

        wait_until(lambda: renewed(service, before, 2), 15)
        assert service.process.poll() is None


@pytest.mark.slow
def test_started_by_nohup_it_does_not_hear_of_sighup(new_directory: NewDirectory) -> None:
    data_dir = new_directory()
    env = clean_env(data_dir, PORT=str(free_port()), WEB_CONCURRENCY="1")
    with starting(["nohup", *SERVICE], data_dir, env) as service:
        wait_until(service.answers, 10, service.log)
        before = service.workers()

        os.killpg(service.process.pid, signal.SIGHUP)

        assert not happens(lambda: service.workers() != before, 1.5)
        assert service.answers()


def test_make_run_ends_with_the_terminal_it_was_typed_in(new_directory: NewDirectory) -> None:
    data_dir = new_directory()
    env = clean_env(data_dir, PORT=str(free_port()), WEB_CONCURRENCY="1")
    with terminal(make_run_program(), env) as (_, close):
        service = RunningService(f"http://localhost:{env['PORT']}", None, env, data_dir)  # type: ignore[arg-type]
        wait_until(service.answers, 15)

        close()

        wait_until(lambda: not service.processes(), 4, service.processes)


@contextmanager
def terminal(program: list[str], env: dict[str, str]) -> Iterator[tuple[int, Callable[[], None]]]:
    """Run a program in the foreground of a terminal, below its shell; give what closes the window."""
    script = '"$@"; true'  # so that the shell stays
    shell, window = pty.fork()
    if shell == 0:
        os.chdir(ROOT)
        os.execve("/bin/sh", ["sh", "-c", script, "sh", *program], env)  # noqa: S606
    closed: list[int] = []

    def close() -> None:
        os.close(window)
        closed.append(window)

    try:
        yield shell, close
    finally:
        if not closed:
            close()
        with suppress(ProcessLookupError):
            os.kill(shell, signal.SIGKILL)
        os.waitpid(shell, 0)


def clients(service: RunningService) -> list[Asker]:
    token, ports = service.token(), [int(service.env["PORT"])]
    return [
        *(seeing(ports, token) for _ in range(4)),
        *(seeing(ports, token, keep=False) for _ in range(2)),
        coming(ports, "causas", DEMO_PASSWORD),
    ]


def hang_up(service: RunningService) -> None:
    service.process.send_signal(signal.SIGHUP)


def serves(worker: int) -> bool:
    """Whether a worker has got so far that it takes SIGTERM itself."""
    (caught,) = re.findall(r"SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{worker}/status").read_text())
    return bool(int(caught, 16) >> signal.SIGTERM - 1 & 1)


def renewed(service: RunningService, old: set[int], workers: int) -> bool:
    now = service.workers()
    return len(now) == workers and not now & old
