"""Hash passwords on threads of low priority, so that nothing else waits for them."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import ParamSpec, TypeVar

from service.errors import Overloaded
from service.security.courtesy import Courtesy, least_priority, share_of
from service.telemetry import metrics

P = ParamSpec("P")
R = TypeVar("R")

# How much of the newest hash goes into the running mean of their durations.
_WEIGHT = 0.2


class HashingPool:
    """One thread that hashes; what could not start before the deadline is refused at once.

    bcrypt releases the GIL, so the thread runs beside the event loop. Of a saturated core it gets the share
    that a thread of this niceness would have.
    """

    def __init__(self, *, nice: int, deadline: timedelta) -> None:
        self._threads = ThreadPoolExecutor(1, "hashing", initializer=least_priority)
        self._courtesy = Courtesy(share_of(nice), lambda: self._waiting > 0)
        self._deadline = deadline.total_seconds()
        self._waiting = 0
        self._mean_seconds = 0.0

    def admit(self) -> None:
        """Raise Overloaded, with the time the queue needs, if a new hash would start too late."""
        if self._waiting * self._mean_seconds > self._deadline:
            raise self._overloaded()

    async def run(self, compute: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one hash on the thread. Once begun it ends, even if the caller is cancelled.

        Raises Overloaded if it could not begin before the deadline: `admit` can only guess how long the
        queue takes, and before the first hash not even that.
        """
        loop = asyncio.get_running_loop()
        give_up = time.monotonic() + self._deadline
        self._waiting += 1
        metrics.HASHES_WAITING.change(1)
        self._courtesy.look_on(loop)
        try:
            return await loop.run_in_executor(
                self._threads, lambda: self._timed(give_up, compute, *args, **kwargs)
            )
        finally:
            self._waiting -= 1
            metrics.HASHES_WAITING.change(-1)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _overloaded(self) -> Overloaded:
        return Overloaded(retry_after=timedelta(seconds=self._waiting * self._mean_seconds - self._deadline))

    def _timed(self, give_up: float, compute: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        started = time.monotonic()
        metrics.HASH_WAIT_SECONDS.observe(started - (give_up - self._deadline))
        if started > give_up:
            raise self._overloaded()
        try:
            with self._courtesy.due():
                return compute(*args, **kwargs)
        finally:
            seconds = time.monotonic() - started
            first = self._mean_seconds == 0.0
            self._mean_seconds = seconds if first else _WEIGHT * seconds + (1 - _WEIGHT) * self._mean_seconds
