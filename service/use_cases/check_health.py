"""Say whether the stores answer."""

import asyncio
import time
from dataclasses import dataclass, field

from tortoise.connection import get_connection

from service.errors import Refusal, ServiceUnavailable
from service.stores.database import Database
from service.stores.pipeline import Pipeline

_CACHE_SECONDS = 1.0


@dataclass(slots=True)
class CheckHealth:
    """Asks both stores, at most once a second however often it is asked."""

    database: Database
    redis: Pipeline
    _checked_at: float = field(default=float("-inf"))
    _down: tuple[str, ...] = field(default=())
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self) -> tuple[str, ...]:
        """Return the names of the stores that do not answer; raise ServiceUnavailable if none does."""
        async with self._asking:
            if time.monotonic() - self._checked_at > _CACHE_SECONDS:
                stores = (("redis", self._redis_answers), ("database", self._database_answers))
                self._down = tuple([name for name, answers in stores if not await answers()])
                self._checked_at = time.monotonic()
        if len(self._down) > 1:
            raise ServiceUnavailable
        return self._down

    async def _redis_answers(self) -> bool:
        try:
            await self.redis.execute("PING")
        except Refusal:
            return False
        return True

    async def _database_answers(self) -> bool:
        try:
            await self.database.read(lambda: get_connection("default").execute_query("SELECT 1"))
        except Refusal:
            return False
        return True
