"""Fork the workers, replace the dead, the frozen and the outdated, and end them all when told to."""

import logging
import math
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import NoReturn

from service import heartbeats
from service.telemetry import metrics

log = logging.getLogger("service")

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_STOP_SIGNALS, signal.SIGHUP)
_TICK_SECONDS = 0.5
# The loss of a worker younger than this is followed by a pause as long: a crash at boot is no busy loop.
_YOUNG_SECONDS = 1.0
# So many looks in a row at a heart that does not beat: ten seconds. Looks are counted and not time, for
# whoever stops the whole service (SIGSTOP to the group, a container that is paused) stops the looks too.
_FROZEN_LOOKS = 20
# A start that takes as long as this many looks ends a roll.
_STUCK_LOOKS = 60


@dataclass(slots=True)
class _Worker:
    pid: int
    number: int
    born: float
    newcomer: bool  # of a roll, which waits for it
    heart: int = heartbeats.BOOTING
    still: int = 0  # looks since the heart has beaten
    leave_by: float = math.inf  # finite once it is leaving: what it has not finished by then is lost

    @property
    def stays(self) -> bool:
        return self.leave_by == math.inf

    @property
    def serves(self) -> bool:
        return self.stays and heartbeats.read(self.number) > heartbeats.BOOTING


class Supervisor:
    """Parent of the worker processes.

    A worker is a call of `work(parent, number)`; `parent` is a file descriptor that reads end-of-file once
    this process is gone, so that no worker outlives it, however it ends. `number` counts from 1 to one more
    than there are workers, the last for one on its way out; no two living workers share one, and it passes
    from one that died to the one that replaces it. Under its number a worker tells service/heartbeats.py
    how it is. `owner` is the id of a process whose end is this one's too, and that started it; None leaves
    that to signals, as a service manager does. `before_the_end` is called before workers are asked to end.
    """

    def __init__(
        self,
        work: Callable[[int, int], None],
        workers: int,
        grace: timedelta,
        owner: int | None = None,
        before_the_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._work = work
        self._wanted = workers
        self._grace = grace.total_seconds()
        self._owner = owner
        self._before_the_end = before_the_end
        self._workers: dict[int, _Worker] = {}
        self._free = list(range(workers + 1, 0, -1))
        self._outdated: set[int] = set()
        self._paused_until = 0.0
        self._looked_at = 0.0
        self._stopping = False
        self._hung_up = False
        self._had_terminal = _has_terminal()
        self._wake_read, self._wake_write = _pipe()
        self._parent_read, self._parent_write = os.pipe()

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or the end of owner or terminal; return when every worker has ended.

        SIGHUP replaces the workers one by one. Workers ignore it, as it may come to the whole group.
        """
        self._listen()
        while not self._stopping and not self._orphaned():
            self._roll()
            self._fill()
            self._sleep(_TICK_SECONDS)
            self._reap()
            self._look_after()
        self._drain()

    def _listen(self) -> None:
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _nothing)
        for number in _STOP_SIGNALS:
            signal.signal(number, self._stop)
        # Started by nohup, it was told not to hear of it.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._hang_up)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _hang_up(self, _signal: int, _frame: FrameType | None) -> None:
        self._hung_up = True

    def _orphaned(self) -> bool:
        return self._owner is not None and os.getppid() != self._owner

    def _roll(self) -> None:
        """Begin to replace the workers if told to; let the next one go once it can be done without."""
        if self._hung_up:
            self._hung_up = False
            self._begin_roll()
        self._outdated &= self._workers.keys()
        serving = [worker for worker in self._workers.values() if worker.serves]
        outdated = [worker for worker in serving if worker.pid in self._outdated]
        if outdated and len(serving) > self._wanted and not self._leaving():
            self._outdated.discard(outdated[0].pid)
            self._let_go(outdated[0])

    def _begin_roll(self) -> None:
        # The terminal was closed, and whoever sat there has gone: make waits for this to end, then ends too.
        if self._had_terminal and not _has_terminal():
            self._stopping = True
            return
        self._outdated = {pid for pid, worker in self._workers.items() if worker.stays}
        log.info("roll_begun", extra={"workers": len(self._outdated)})

    def _let_go(self, worker: _Worker) -> None:
        worker.leave_by = time.monotonic() + self._grace
        os.kill(worker.pid, signal.SIGTERM)

    def _leaving(self) -> list[_Worker]:
        return [worker for worker in self._workers.values() if not worker.stays]

    def _fill(self) -> None:
        """Have as many workers as are wanted; in a roll one more, but only while no other one leaves."""
        while self._free and not self._stopping and time.monotonic() >= self._paused_until:
            leaving = len(self._leaving())
            one_more = bool(self._outdated) and not leaving
            if len(self._workers) - leaving >= self._wanted + one_more:
                return
            self._spawn(self._free.pop())

    def _spawn(self, number: int) -> None:
        heartbeats.start(number)
        # Held back over the fork, a signal meets either the parent's handlers or, in the child, its own.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                self._be_worker(number)
            self._workers[pid] = _Worker(pid, number, time.monotonic(), newcomer=bool(self._outdated))
        except OSError as error:
            self._do_without(number, error)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _do_without(self, number: int, error: OSError) -> None:
        # No memory, or too many processes. That passes, and those that serve are not to go with it.
        self._free.append(number)
        log.error("worker_not_forked", extra={"cause": repr(error)})
        self._paused_until = time.monotonic() + _YOUNG_SECONDS
        if self._outdated:
            self._give_up_the_roll()

    def _be_worker(self, number: int) -> NoReturn:
        # Nothing of the parent's may run in the child: not its handlers, not what follows its fork.
        status = 1
        try:
            self._let_go_of_the_parent()
            self._work(self._parent_read, number)
            status = 0
        except Exception:
            log.exception("worker_failed")
        finally:
            os._exit(status)

    def _let_go_of_the_parent(self) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, *_STOP_SIGNALS):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        for descriptor in (self._wake_read, self._wake_write, self._parent_write):
            os.close(descriptor)

    def _reap(self) -> None:
        # By id: the process has other children than its workers.
        for pid in tuple(self._workers):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._bury(self._workers.pop(pid), os.waitstatus_to_exitcode(status))

    def _bury(self, worker: _Worker, status: int) -> None:
        # Last in, first out: the next one takes the number of the dead.
        self._free.append(worker.number)
        metrics.leave_row(worker.number)
        if self._stopping or (status == 0 and heartbeats.read(worker.number) == heartbeats.LEAVING):
            return
        log.warning("worker_died", extra={"pid": worker.pid, "status": status})
        now = time.monotonic()
        if now - worker.born < _YOUNG_SECONDS:
            self._paused_until = now + _YOUNG_SECONDS
        if self._outdated and worker.newcomer and worker.heart == heartbeats.BOOTING:
            self._give_up_the_roll()

    def _give_up_the_roll(self) -> None:
        # What does not start now would not start in the place of those that still serve either.
        self._outdated.clear()
        log.error("roll_given_up")

    def _look_after(self) -> None:
        """Kill what is frozen, what does not get through its start, and what has had its time to leave."""
        now = time.monotonic()
        # A signal cuts a tick short.
        if now - self._looked_at < _TICK_SECONDS:
            return
        self._looked_at = now
        for worker in self._workers.values():
            self._look_at(worker, now)

    def _look_at(self, worker: _Worker, now: float) -> None:
        heart = heartbeats.read(worker.number)
        worker.still = worker.still + 1 if heart == worker.heart else 0
        worker.heart = heart
        if heart == heartbeats.LEAVING and worker.stays:
            worker.leave_by = now + self._grace  # somebody else has told it to
        if worker.stays:
            self._kill_if_frozen(worker)
        elif now >= worker.leave_by:
            os.kill(worker.pid, signal.SIGKILL)
        else:
            # Again and again: a signal that meets a worker between two of its handlers is lost.
            os.kill(worker.pid, signal.SIGTERM)

    def _kill_if_frozen(self, worker: _Worker) -> None:
        if worker.heart != heartbeats.BOOTING:
            patience: float = _FROZEN_LOOKS
        else:
            # The first of all may wait for something that comes; a newcomer only holds up a roll.
            patience = _STUCK_LOOKS if worker.newcomer else math.inf
        if worker.still >= patience:
            log.error("worker_frozen", extra={"pid": worker.pid, "number": worker.number})
            os.kill(worker.pid, signal.SIGKILL)

    def _drain(self) -> None:
        """Ask every worker to finish what it has begun; end by force what is left after the grace."""
        self._stopping = True
        self._before_the_end()
        deadline, asked = time.monotonic() + self._grace, -math.inf
        while self._workers and (now := time.monotonic()) < deadline:
            # Again and again, as above.
            if now - asked >= _TICK_SECONDS:
                self._signal_all(signal.SIGTERM)
                asked = now
            self._sleep(_TICK_SECONDS)
            self._reap()
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: int) -> None:
        for pid in self._workers:
            os.kill(pid, number)

    def _sleep(self, seconds: float) -> None:
        """Sleep until the time is over or a signal arrives."""
        select.select([self._wake_read], [], [], seconds)
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return


def _has_terminal() -> bool:
    """Whether the session has a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    return read, write


def _nothing(_signal: int, _frame: FrameType | None) -> None:
    """Exist, so that a dead child wakes the parent."""
