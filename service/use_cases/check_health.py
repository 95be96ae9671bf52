"""Say whether the stores answer."""

import asyncio
import time
from dataclasses import dataclass, field

from service.errors import Refusal, ServiceUnavailable
from service.stores.database import Database
from service.stores.pipeline import Commands, answers

_CACHE_SECONDS = 1.0


@dataclass(slots=True)
class CheckHealth:
    """Asks both stores, at most once a second however often it is asked."""

    database: Database
    redis: Commands
    _checked_at: float = field(default=float("-inf"))
    _down: tuple[str, ...] = field(default=())
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self) -> tuple[str, ...]:
        """Return the names of the stores that do not answer; raise ServiceUnavailable if none does."""
        async with self._asking:
            if time.monotonic() - self._checked_at > _CACHE_SECONDS:
                there = {"redis": await answers(self.redis), "database": await self._database_answers()}
                self._down = tuple(name for name, answered in there.items() if not answered)
                self._checked_at = time.monotonic()
        if len(self._down) > 1:
            raise ServiceUnavailable
        return self._down

    async def _database_answers(self) -> bool:
        try:
            await self.database.row("SELECT 1")
        except Refusal:
            return False
        return True
