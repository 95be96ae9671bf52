"""Keep the list of what is revoked up to date, and tell Redis what it missed while it was away."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from itertools import islice

from service.clock import Clock
from service.errors import DatabaseUnavailable, RedisUnavailable
from service.periodic import Periodic
from service.stores.pipeline import Commands
from service.stores.revoked import REFRESH_EVERY, Revoked, RevokedList, RevokedSession
from service.stores.sessions import SessionStore
from service.telemetry import metrics

# Redis may have been gone for a while before anybody noticed.
_UNNOTICED_SECONDS = 5.0
_TOLD_AT_ONCE = 500


class RevokedKeeper:
    """Runs in every process that authenticates requests."""

    def __init__(self, revoked: RevokedList, sessions: SessionStore, redis: Commands, clock: Clock) -> None:
        self._revoked = revoked
        self._sessions = sessions
        self._redis = redis
        self._clock = clock
        self._recent: deque[tuple[float, Revoked]] = deque()
        self._redis_missed_some = False
        self._periodic = Periodic(self.step, REFRESH_EVERY)

    async def start(self) -> None:
        """Load the list and keep it. Without the database the service starts, and knows that it has none."""
        metrics.REVOKED_READ_AT.set(time.monotonic())  # a list that was never read is as old as the process
        await self.step()
        self._periodic.start()

    async def stop(self) -> None:
        await self._periodic.stop()

    async def step(self) -> None:
        """Read what was revoked since the last step, and pass on to Redis what it may not have heard."""
        with suppress(DatabaseUnavailable):
            seen = await self._revoked.refresh()
            self._recent.extend((time.monotonic(), change) for change in seen)
        if self._redis.lost:
            self._redis_missed_some = True
            return
        if self._redis_missed_some:
            with suppress(RedisUnavailable):
                await self._tell_some()
            return
        while self._recent and self._recent[0][0] < time.monotonic() - _UNNOTICED_SECONDS:
            self._recent.popleft()

    async def _tell_some(self) -> None:
        """Tell of the oldest. A hundred thousand at once would keep the list from being read in time."""
        some = list(islice(self._recent, _TOLD_AT_ONCE))
        await asyncio.gather(*(self._tell(change) for _, change in some))
        for _ in some:
            self._recent.popleft()
        self._redis_missed_some = bool(self._recent)

    async def _tell(self, change: Revoked) -> None:
        if isinstance(change, RevokedSession):
            await self._sessions.bury(change.user_id, change.sid, change.end)
        else:
            await self._sessions.raise_version(change.user_id, change.version, self._clock())
