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

    def admit(self, begin_by: float | None = None) -> float:
        """Return when a new hash has to begin at the latest, in seconds of the monotonic clock.

        That is the deadline from now, or what the first look gave. Raises Overloaded, with the time that the
        queue needs, if the hash would begin later.
        """
        now = time.monotonic()
        begin_by = now + self._deadline if begin_by is None else begin_by
        if now + self._waiting * self._mean_seconds > begin_by:
            raise self._overloaded()
        return begin_by

    async def run(self, compute: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one hash on the thread. Once begun it ends, even if the caller is cancelled.

        Raises Overloaded if it could not begin before the deadline: `admit` can only guess how long the
        queue takes, and before the first hash not even that.
        """
        return await self.run_by(time.monotonic() + self._deadline, compute, *args, **kwargs)

    async def run_by(self, begin_by: float, compute: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Likewise, with a deadline that `admit` gave: what was waited for meanwhile is part of it."""
        loop = asyncio.get_running_loop()
        asked = time.monotonic()
        self._waiting += 1
        metrics.HASHES_WAITING.change(1)
        self._courtesy.look_on(loop)
        try:
            return await loop.run_in_executor(
                self._threads, lambda: self._timed(asked, begin_by, compute, *args, **kwargs)
            )
        finally:
            self._waiting -= 1
            metrics.HASHES_WAITING.change(-1)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _overloaded(self) -> Overloaded:
        return Overloaded(retry_after=timedelta(seconds=self._waiting * self._mean_seconds - self._deadline))

    def _timed(
        self, asked: float, begin_by: float, compute: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        started = time.monotonic()
        metrics.HASH_WAIT_SECONDS.observe(started - asked)
        if started > begin_by:
            raise self._overloaded()
        try:
            with self._courtesy.due():
                return compute(*args, **kwargs)
        finally:
            seconds = time.monotonic() - started
            first = self._mean_seconds == 0.0
            self._mean_seconds = seconds if first else _WEIGHT * seconds + (1 - _WEIGHT) * self._mean_seconds
