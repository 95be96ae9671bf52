"""End many sessions, a bounded transaction at a time."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from models import KnownNetwork, Session, User
from service.errors import DatabaseUnavailable
from service.security.tokens import KEEP_AFTER_END
from service.stores.announcement import Announcement
from service.stores.database import Database
from service.stores.revocations import Revocations, alive_until_now
from service.stores.security_events import SecurityEvents
from service.stores.sessions import SessionStore
from service.telemetry.events import Event

T = TypeVar("T")

# SQLite takes 999 parameters in its older versions.
SESSIONS_AT_ONCE = 900
USERS_AT_ONCE = 50
# Rows are locked in no order that others keep to: PostgreSQL ends one of two who wait for each other.
_TRIES = 3
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class BulkRevocations:
    """Each method commits, tells Redis, and leaves the wait for everybody to the end of the announcement.

    Raises DatabaseUnavailable with nothing promised of the batch at hand. Every batch may be done again.
    """

    database: Database
    sessions: SessionStore
    revocations: Revocations
    events: SecurityEvents

    async def end(
        self, sids: Sequence[str], *, by: str, why: str, now: datetime, announcement: Announcement
    ) -> Counter[int]:
        """End sessions and bury each; return how many of each user had not been ended before."""
        chosen = Session.filter(id__in=sids)

        async def work() -> Sequence[tuple[str, int, datetime, datetime]]:
            await self.database.find_by_index()
            await self.revocations.end_rows(chosen, by=by, why=why, now=now)
            rows = chosen.filter(expires_at__gt=now - KEEP_AFTER_END)
            return await rows.values_list("id", "user_id", "expires_at", "revoked_at")

        def told(rows: Sequence[tuple[str, int, datetime, datetime]]) -> list[Event]:
            return [
                Event("session_revoked", now, user_id, by=by, details={"sessions": count})
                for user_id, count in _ended(rows, now).items()
            ]

        rows = await _patiently(lambda: self.events.commit_all(work, told))
        ends = defaultdict[int, dict[str, datetime]](dict)
        for sid, user_id, end, _ in rows:
            ends[user_id][sid] = end
        await announcement.tell(self.sessions.bury_all(ends))
        return _ended(rows, now)

    async def raise_versions(
        self, user_ids: Sequence[int], *, forget: bool, by: str, now: datetime, announcement: Announcement
    ) -> Counter[int]:
        """End every session of the users, those in the making included; return how many of each were alive.

        With `forget` every network becomes unknown to them. The rows are not marked yet: see `mark`.
        """
        users = User.filter(id__in=user_ids)
        # Once only: a try whose answer was lost may have been committed, and raised again they would all seem
        # to have been without a session.
        not_raised = users.exclude(session_version_changed_at=now)

        async def work() -> tuple[Counter[int], Sequence[tuple[int, int]]]:
            await not_raised.update(**self.revocations.raised_version(now))
            if forget:
                await KnownNetwork.filter(user_id__in=user_ids).delete()
            return await alive_until_now(user_ids, now), await users.values_list("id", "session_version")

        def told(done: tuple[Counter[int], object]) -> list[Event]:
            ended, _ = done
            return [
                Event("user_revoked", now, user_id, by=by, details={"sessions": ended[user_id]})
                for user_id in user_ids
                if forget or ended[user_id]
            ]

        ended, versions = await _patiently(lambda: self.events.commit_all(work, told))
        raised = (self.sessions.raise_version(user_id, version, now) for user_id, version in versions)
        await announcement.tell(asyncio.gather(*raised))
        return ended

    async def mark(self, user_ids: Sequence[int], *, by: str, why: str, now: datetime) -> bool:
        """Write down who ended the sessions, some at once; return whether more are left."""

        async def work() -> bool:
            return await self.revocations.mark_some(user_ids, by=by, why=why, now=now)

        return await _patiently(lambda: self.database.write(work))

    def announcement(self) -> Announcement:
        return self.revocations.announcement()


def _ended(rows: Sequence[tuple[str, int, datetime, datetime]], now: datetime) -> Counter[int]:
    # Not the number of rows that were written: of a batch that is tried again it would be too small.
    return Counter(user_id for _, user_id, _, revoked_at in rows if revoked_at == now)


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    for _ in range(_TRIES - 1):
        try:
            return await work()
        except DatabaseUnavailable:
            await asyncio.sleep(_PAUSE_SECONDS)
    return await work()
