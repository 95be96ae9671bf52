"""Fork the workers, replace the dead, and end them all when told to."""

import logging
import os
import select
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from types import FrameType

log = logging.getLogger("service")

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_TICK_SECONDS = 0.5
# A worker that dies younger than this is replaced after a pause, so that a crash at boot is no busy loop.
_YOUNG_SECONDS = 1.0


class Supervisor:
    """Parent of the worker processes.

    A worker is a call of `work(parent)`; `parent` is a file descriptor that reads end-of-file once this
    process is gone, so that no worker outlives it, however it ends.
    """

    def __init__(self, work: Callable[[int], None], workers: int, grace: timedelta) -> None:
        self._work = work
        self._workers = workers
        self._grace = grace.total_seconds()
        self._born: dict[int, float] = {}
        self._stopping = False
        self._wake_read, self._wake_write = _pipe()
        self._parent_read, self._parent_write = os.pipe()

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or SIGHUP; return when every worker has ended."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _nothing)
        for number in _STOP_SIGNALS:
            signal.signal(number, self._stop)
        while not self._stopping:
            self._fill()
            self._sleep(_TICK_SECONDS)
            self._reap()
        self._drain()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _fill(self) -> None:
        while len(self._born) < self._workers and not self._stopping:
            self._spawn()

    def _spawn(self) -> None:
        pid = os.fork()
        if pid:
            self._born[pid] = time.monotonic()
            return
        # Nothing of the parent's may run in the child: not its handlers, not what follows its fork.
        status = 1
        try:
            self._become_worker()
            self._work(self._parent_read)
            status = 0
        except Exception:
            log.exception("worker_failed")
        finally:
            os._exit(status)

    def _become_worker(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        for descriptor in (self._wake_read, self._wake_write, self._parent_write):
            os.close(descriptor)

    def _reap(self) -> None:
        while self._born:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            age = time.monotonic() - self._born.pop(pid, 0.0)
            if self._stopping:
                continue
            log.warning("worker_died", extra={"pid": pid, "status": os.waitstatus_to_exitcode(status)})
            if age < _YOUNG_SECONDS:
                self._sleep(_YOUNG_SECONDS)

    def _drain(self) -> None:
        """Ask every worker to finish what it has begun; end by force what is left after the grace."""
        deadline = time.monotonic() + self._grace
        while self._born and time.monotonic() < deadline:
            # Again and again: a signal that meets a worker between two of its handlers is lost.
            self._signal_all(signal.SIGTERM)
            self._sleep(_TICK_SECONDS)
            self._reap()
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: int) -> None:
        for pid in self._born:
            os.kill(pid, number)

    def _sleep(self, seconds: float) -> None:
        """Sleep until the time is over or a signal arrives."""
        select.select([self._wake_read], [], [], seconds)
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    return read, write


def _nothing(_signal: int, _frame: FrameType | None) -> None:
    """Exist, so that a dead child wakes the parent."""
