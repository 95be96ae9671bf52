"""Have the event loop step aside for the hashing thread, and never wait for it otherwise.

A thread of niceness 10 should have a tenth of a saturated core and be out of the way whenever the loop has
something to do. Linux gives it the tenth, but in one piece: a loop that goes to sleep having run for longer
than its share is not let in again before the next tick of the clock, up to 4 ms later, and then all requests
that came meanwhile are late. So the thread has the least priority there is, which is out of the way at once,
and the loop sees to its share.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOK_SECONDS = 0.01
# Less than that is not worth a pause.
_OWED_LEAST_SECONDS = 0.0005
_NICEST = 19
# By sched(7): each step of niceness is worth so much.
_STEP = 1.25


class Courtesy:
    """Looks now and then, while hashes are wanted, whether the one that runs has had its share of the core.

    What it has had beyond that is not held against it later. Where others keep the core from both, the loop
    steps aside for twice the share at most.
    """

    def __init__(self, share: float, wanted: Callable[[], bool]) -> None:
        self._share = share
        self._most_seconds = 2 * share * _LOOK_SECONDS
        self._wanted = wanted
        self._thread: _Thread | None = None  # the one that hashes, while it does
        self._owed_seconds = 0.0
        self._looking = False

    def look_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look from now on, as long as hashes are wanted."""
        if not self._looking:
            self._looking = True
            loop.call_later(_LOOK_SECONDS, self._look, loop)

    @contextmanager
    def due(self) -> Iterator[None]:
        """Owe the calling thread its share for the length of the block."""
        self._thread = _Thread()
        try:
            yield
        finally:
            self._thread = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if (thread := self._thread) is not None:
            owed = self._owed_seconds + thread.fell_short_by(self._share)
            self._owed_seconds = min(max(owed, 0.0), self._most_seconds)
            if self._owed_seconds >= _OWED_LEAST_SECONDS:
                # On purpose the loop's own thread: while it sleeps, the core is the other one's.
                time.sleep(self._owed_seconds)
        self._looking = False
        if self._wanted():
            self.look_on(loop)


class _Thread:
    """The thread that makes it, and what it has had of the time since it was last looked at."""

    def __init__(self) -> None:
        # Elsewhere there is no such clock, and no niceness of a thread either: both get the same.
        known = sys.platform == "linux"
        self._clock = time.pthread_getcpuclockid(threading.get_ident()) if known else time.CLOCK_MONOTONIC
        self._at, self._ran = self._now()

    def fell_short_by(self, share: float) -> float:
        """Return the seconds by which its share was missed since the last time; less than 0 if it was not."""
        at, ran = self._at, self._ran
        self._at, self._ran = self._now()
        return share * (self._at - at) - (self._ran - ran)

    def _now(self) -> tuple[float, float]:
        return time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(self._clock)


def share_of(nice: int) -> float:
    """Give the share of a core that a thread of this niceness has beside one of niceness 0."""
    return 1 / (1 + _STEP**nice)


def least_priority() -> None:
    """Give the calling thread the least priority that still is one."""
    # Linux keeps a niceness per thread; elsewhere this would slow the whole process down.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICEST)
