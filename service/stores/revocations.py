"""End sessions: commit to the database, then tell Redis, then report."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tortoise.expressions import F
from tortoise.queryset import QuerySet

from models import Session, User
from service.security.tokens import KEEP_AFTER_END
from service.stores.announcement import Announcement
from service.stores.database import Database
from service.stores.login_history import forget_networks
from service.stores.security_events import SecurityEvents
from service.stores.sessions import SessionStore
from service.telemetry.events import Event


@dataclass(frozen=True, slots=True)
class Revocations:
    """Ends sessions; each method returns how many it ended that had not been ended before.

    When a method returns, the sessions are refused everywhere: the database has committed, and either Redis
    has confirmed, or every process has had the time to read it from the database. It raises
    DatabaseUnavailable with nothing promised. Asking again does every step again, and is harmless. The event
    is written with the rows, and says how many they were.
    """

    database: Database
    sessions: SessionStore
    events: SecurityEvents
    monotonic: Callable[[], float] = time.monotonic

    async def end(self, chosen: QuerySet[Session], *, by: str, why: str, now: datetime, event: Event) -> int:
        """End the chosen sessions and bury each in Redis."""

        async def work() -> tuple[int, Sequence[Session]]:
            ended = await self.end_rows(chosen, by=by, why=why, now=now)
            # Those ended earlier as well: their tombstone may have been lost on the way. And none but ended
            # ones: of PostgreSQL, this statement sees a session that was opened after the one before.
            buried = chosen.filter(revoked_at__isnull=False, expires_at__gt=now - KEEP_AFTER_END)
            return ended, await buried

        ended, rows = await self.events.commit(work, lambda done: event.with_details(sessions=done[0]))
        await self.bury(rows)
        return ended

    async def end_all_of(
        self,
        user_id: int,
        *,
        by: str,
        why: str,
        now: datetime,
        event: Event,
        forget: bool = True,
        **columns: object,
    ) -> int:
        """Raise the user's session version and end every session, those in the making included.

        With `forget` every network becomes unknown to her. Further columns of the user are set in the same
        transaction.
        """

        async def work() -> tuple[int, int]:
            await User.filter(id=user_id).update(
                session_version=F("session_version") + 1,
                session_version_changed_at=now,
                version_change=self.database.change_number("users", "version_change"),
                updated_at=now,
                **columns,
            )
            if forget:
                await forget_networks(user_id)
            ended = await self.end_rows_of(user_id, by=by, why=why, now=now)
            return ended, (await User.get(id=user_id)).session_version

        ended, version = await self.events.commit(work, lambda done: event.with_details(sessions=done[0]))
        await self.raise_version(user_id, version, now)
        return ended

    async def bury(self, rows: Sequence[Session]) -> None:
        """Have sessions refused that the database has just committed as ended."""
        if not rows:
            return
        await self._known_everywhere(
            asyncio.gather(*(self.sessions.bury(row.user_id, row.id, row.expires_at) for row in rows))
        )

    async def raise_version(self, user_id: int, version: int, now: datetime) -> None:
        """Have all sessions refused that are older than the version just committed."""
        await self._known_everywhere(self.sessions.raise_version(user_id, version, now))

    async def end_rows(self, chosen: QuerySet[Session], *, by: str, why: str, now: datetime) -> int:
        """Mark sessions as ended, within the caller's transaction; return how many were not yet."""
        change = self.database.change_number("sessions", "revoked_change")
        return await _not_ended(chosen, now).update(
            revoked_at=now, revoked_by=by, revoked_why=why, revoked_change=change
        )

    async def end_rows_of(self, user_id: int, *, by: str, why: str, now: datetime) -> int:
        """Likewise all of a user whose version the transaction raises: one change, not many."""
        own = _not_ended(Session.filter(user_id=user_id), now)
        return await own.update(revoked_at=now, revoked_by=by, revoked_why=why)

    async def _known_everywhere(self, telling: Awaitable[object]) -> None:
        """Wait until Redis has confirmed what was committed just now, or else everybody has read it."""
        announcement = Announcement(self.monotonic)
        await announcement.tell(telling)
        await announcement.known_everywhere()


def _not_ended(chosen: QuerySet[Session], now: datetime) -> QuerySet[Session]:
    return chosen.filter(revoked_at=None, expires_at__gt=now - KEEP_AFTER_END)
