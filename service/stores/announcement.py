"""Know when every process refuses what was committed: Redis has confirmed it, or all could read it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from service.errors import RedisUnavailable
from service.stores.database import Database
from service.stores.revoked import KNOWN_EVERYWHERE_AFTER
from service.telemetry import metrics

# Often enough to see every outage in which a process can have missed two readings of its list.
_LOOK_SECONDS = 0.1


class Announcement:
    """Of one commit or of many: whoever makes it waits once, after the last.

    What Redis did not confirm is known everywhere some time after its commit, if the database answers
    meanwhile. So the wait for the last such commit covers the earlier ones.
    """

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._everywhere_at = float("-inf")

    @property
    def confirmed(self) -> bool:
        """Whether Redis has confirmed everything so far."""
        return self._everywhere_at == float("-inf")

    async def tell(self, telling: Awaitable[object]) -> None:
        """Tell Redis what was committed just now."""
        everywhere_at = self._monotonic() + KNOWN_EVERYWHERE_AFTER.total_seconds()
        try:
            await telling
        except RedisUnavailable:
            self._everywhere_at = everywhere_at

    async def known_everywhere(self) -> None:
        """Return when no process accepts any more what was ended.

        Raises DatabaseUnavailable if the database was lost before all had read it: with a Redis that does
        not know either, they go on accepting until it is back.
        """
        while (left := self._everywhere_at - self._monotonic()) > 0:
            await asyncio.sleep(min(left, _LOOK_SECONDS))
            await self._database.row("SELECT 1")
        metrics.REVOCATIONS.count("redis" if self.confirmed else "time")
