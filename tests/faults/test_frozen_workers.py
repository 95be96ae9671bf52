"""A worker whose loop does not turn is killed and replaced, and no other is."""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.load import asking, seeing
from tests.process.running import RunningService, needs_proc, running_service
from tests.process.test_supervisor import UNTIL_THE_END_OF_THE_PARENT, supervisor
from tests.timing import happens, wait_until

pytestmark = [needs_proc, pytest.mark.slow]

# Ten seconds until it is killed; a busy machine may need a little longer.
FROZEN_SECONDS = 10
REPLACED_SECONDS = FROZEN_SECONDS + 5
NO_LIMITS = {"LIMIT_LOGIN": "0", "LIMIT_NETWORK": "0"}


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("frozen"), WEB_CONCURRENCY="2", **NO_LIMITS) as running:
        wait_until(lambda: sum(map(hears_of_its_end, running.workers())) == 2, 5)
        running.token()
        yield running


def test_a_stopped_worker_is_killed_and_replaced_while_the_other_serves(service: RunningService) -> None:
    frozen, other = sorted(service.workers())
    os.kill(frozen, signal.SIGSTOP)
    # Asked on a connection made now, so that it is the other's.
    with asking(seeing([int(service.env["PORT"])], service.token())) as answers:
        begun = time.monotonic()

        wait_until(lambda: frozen not in service.workers(), REPLACED_SECONDS)

        assert time.monotonic() - begun > FROZEN_SECONDS - 2
        wait_until(lambda: len(service.workers()) == 2, 3)
    assert other in service.workers()
    assert set(answers.statuses) == {200}
    assert "worker_frozen" in service.log()


def test_a_worker_stopped_for_a_moment_lives_on(service: RunningService) -> None:
    before = service.workers()

    with stopped(min(before)):
        time.sleep(FROZEN_SECONDS / 2)

    assert not happens(lambda: service.workers() != before, FROZEN_SECONDS / 2 + 2)


def test_nobody_is_killed_when_the_whole_service_was_stopped(service: RunningService) -> None:
    before = service.workers()

    with stopped(*before):
        # The parent goes on a little earlier than they do.
        with stopped(service.process.pid):
            time.sleep(FROZEN_SECONDS + 3)
        time.sleep(1)

    assert not happens(lambda: service.workers() != before, 3)
    assert service.token()


def test_a_worker_that_finishes_is_not_taken_for_a_frozen_one(service: RunningService) -> None:
    leaving, _ = sorted(service.workers())
    with stopped(leaving):
        os.kill(leaving, signal.SIGTERM)
        time.sleep(1)

    wait_until(lambda: leaving not in service.workers() and len(service.workers()) == 2, 5)
    assert "worker_frozen" not in service.log()


def test_a_worker_that_takes_its_time_to_start_is_left_alone() -> None:
    with supervisor(UNTIL_THE_END_OF_THE_PARENT) as (_, output):
        for _ in range(2):
            assert output.readline()

        replaced, _, _ = select.select([output], [], [], FROZEN_SECONDS + 2)

        assert not replaced


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    # It stops a moment later, and until then other signals still find it.
    wait_until(lambda: all(status(pid)["State"].startswith("T") for pid in pids), 5)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def hears_of_its_end(pid: int) -> bool:
    """Whether a worker has got so far that SIGTERM does not simply kill it."""
    return bool(int(status(pid)["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1)


def status(pid: int) -> dict[str, str]:
    """Give what the kernel says of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
