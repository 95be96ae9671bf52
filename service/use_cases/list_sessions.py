"""List the sessions that are alive, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from tortoise.expressions import F

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

    async def __call__(self, number: int, *, user_id: int | None = None) -> Page:
        """Return a page of the sessions of one user, or of everybody. A page beyond the last is empty."""
        alive = Session.filter(
            revoked_at=None,
            expires_at__gt=self.clock(),
            user__active=True,
            version__gte=F("user__session_version"),
        )
        chosen = alive if user_id is None else alive.filter(user_id=user_id)

        async def work() -> Page:
            total = await chosen.count()
            rows = chosen.order_by("-started_at", "-id").offset((number - 1) * PAGE_SIZE).limit(PAGE_SIZE)
            return Page(await rows.select_related("user"), number, max(1, -(-total // PAGE_SIZE)), total)

        return await self.database.read(work)
