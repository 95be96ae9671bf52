"""Know when every process refuses what was committed: Redis has confirmed it, or time has passed."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from service.errors import RedisUnavailable
from service.stores.revoked import KNOWN_EVERYWHERE_AFTER
from service.telemetry import metrics


class Announcement:
    """Of one commit or of many: whoever makes it waits once, after the last.

    What Redis did not confirm is known everywhere some time after its commit, so the wait for the last such
    commit covers the earlier ones.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
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
        """Return when no process accepts any more what was ended."""
        # A busy loop wakes by a clock that it read too early.
        while (left := self._everywhere_at - self._monotonic()) > 0:  # noqa: ASYNC110 - a time
            await asyncio.sleep(left)
        metrics.REVOCATIONS.count("redis" if self.confirmed else "time")
