"""Delete the rows that can no longer matter."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tortoise.queryset import QuerySet

from models import IssuedToken, KnownNetwork, LoginFailures, SecurityEvent, Session
from service.clock import Clock
from service.security.tokens import KEEP_AFTER_END
from service.stores.database import Database
from service.stores.login_history import NETWORK_KNOWN_FOR
from service.stores.security_events import SecurityEvents
from service.telemetry.events import Event

# Small enough that no transaction of somebody else waits for it.
_AT_ONCE = 1000
# A row of failures that nobody added to for so long is no row any more.
_FAILURES_MATTER_FOR = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Prune:
    """Safe beside live traffic, and to be interrupted: what is left is pruned the next time."""

    database: Database
    events: SecurityEvents
    event_retention: timedelta
    clock: Clock

    async def __call__(self, *, by: str) -> Counter[str]:
        """Return how many rows of which table were deleted."""
        now, deleted = self.clock(), Counter[str]()
        try:
            async for table, count in self._batches(now):
                deleted[table] += count
        finally:
            self.events.note(Event("pruned", now, by=by, details=deleted))
        return deleted

    async def _batches(self, now: datetime) -> AsyncIterator[tuple[str, int]]:
        ended = now - KEEP_AFTER_END
        # Tokens before their sessions: the reference is not allowed to dangle.
        rows: dict[str, QuerySet[Any]] = {
            "issued_tokens": IssuedToken.filter(expires_at__lt=ended),
            "sessions": Session.filter(expires_at__lt=ended, tokens=None),
            "known_networks": KnownNetwork.filter(last_login_at__lt=now - NETWORK_KNOWN_FOR),
            "login_failures": LoginFailures.filter(updated_at__lt=now - _FAILURES_MATTER_FOR),
            "security_events": SecurityEvent.filter(at__lt=now - self.event_retention),
        }
        for table, chosen in rows.items():
            while count := await self._delete_some(chosen):
                yield table, count

    async def _delete_some(self, chosen: QuerySet[Any]) -> int:
        some = await self.database.read(lambda: chosen.limit(_AT_ONCE))
        if not some:
            return 0
        # Chosen again: a row that was read may have been renewed since.
        return await self.database.write(chosen.filter(pk__in=[row.pk for row in some]).delete)
