"""List the living sessions of a user, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tortoise.expressions import F
from tortoise.queryset import QuerySet

from models import Session
from service.clock import Clock
from service.stores.database import Database

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Page:
    """One page of sessions, newest first, with the users loaded; pages count from 1."""

    sessions: Sequence[Session]
    number: int
    last: int
    total: int


@dataclass(frozen=True, slots=True)
class ListSessions:
    database: Database
    clock: Clock

    async def __call__(self, number: int, *, user_id: int) -> Page:
        """Return a page of her sessions. A page beyond the last is empty."""
        chosen = alive(Session.filter(user_id=user_id), self.clock())

        async def work() -> Page:
            total = await chosen.count()
            rows = chosen.order_by("-started_at", "-id").offset((number - 1) * PAGE_SIZE).limit(PAGE_SIZE)
            return Page(await rows.select_related("user"), number, last_page(total), total)

        return await self.database.read(work)


def alive(rows: QuerySet[Session], now: datetime) -> QuerySet[Session]:
    """Leave out the sessions that are refused by now."""
    return rows.filter(
        revoked_at=None, expires_at__gt=now, user__active=True, version__gte=F("user__session_version")
    )


def last_page(total: int) -> int:
    """Return the number of the last page; of nothing there is one page, which is empty."""
    return max(1, -(-total // PAGE_SIZE))
