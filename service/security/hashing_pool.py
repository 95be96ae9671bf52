"""Hash passwords on threads of low priority, so that nothing else waits for them."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import ParamSpec, TypeVar

from service.errors import Overloaded

P = ParamSpec("P")
R = TypeVar("R")

# How much of the newest hash goes into the running mean of their durations.
_WEIGHT = 0.2


class HashingPool:
    """One thread that hashes; what could not start before the deadline is refused at once.

    bcrypt releases the GIL, so the thread runs beside the event loop; its niceness keeps it from taking
    more than its share of a saturated core from it.
    """

    def __init__(self, *, nice: int, deadline: timedelta) -> None:
        self._threads = ThreadPoolExecutor(1, "hashing", initializer=_lower_priority, initargs=(nice,))
        self._deadline = deadline.total_seconds()
        self._waiting = 0
        self._mean_seconds = 0.0

    def admit(self) -> None:
        """Raise Overloaded, with the time the queue needs, if a new hash would start too late."""
        expected = self._waiting * self._mean_seconds
        if expected > self._deadline:
            raise Overloaded(retry_after=timedelta(seconds=expected - self._deadline))

    async def run(self, compute: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one hash on the thread. Once begun it ends, even if the caller is cancelled."""
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            return await loop.run_in_executor(self._threads, lambda: self._timed(compute, *args, **kwargs))
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _timed(self, compute: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        started = time.monotonic()
        try:
            return compute(*args, **kwargs)
        finally:
            seconds = time.monotonic() - started
            first = self._mean_seconds == 0.0
            self._mean_seconds = seconds if first else _WEIGHT * seconds + (1 - _WEIGHT) * self._mean_seconds


def _lower_priority(nice: int) -> None:
    # Linux keeps a niceness per thread; elsewhere this would slow the whole process down.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
