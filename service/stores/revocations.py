"""End sessions: commit to the database, then tell Redis, then report."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tortoise.expressions import F
from tortoise.queryset import QuerySet

from models import Session, User
from service.security.tokens import KEEP_AFTER_END
from service.stores.database import Database
from service.stores.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class Revocations:
    """Ends sessions; each method returns how many it ended that had not been ended before.

    When a method returns, the database has committed and Redis has confirmed. It raises DatabaseUnavailable
    with nothing promised, and RedisUnavailable when the sessions are ended in the database but Redis may
    still vouch for them: ask again. Asking again does every step again, and is harmless.
    """

    database: Database
    sessions: SessionStore

    async def end(self, chosen: QuerySet[Session], *, by: str, why: str, now: datetime) -> int:
        """End the chosen sessions and bury each in Redis."""

        async def work() -> tuple[int, Sequence[Session]]:
            ended = await end_rows(chosen, by=by, why=why, now=now)
            # Those ended earlier as well: their tombstone may have been lost on the way.
            return ended, await chosen.filter(expires_at__gt=now - KEEP_AFTER_END)

        ended, rows = await self.database.write(work)
        await self.bury(rows)
        return ended

    async def end_all_of(self, user_id: int, *, by: str, why: str, now: datetime, **columns: object) -> int:
        """Raise the user's session version and end every session, those in the making included.

        Further columns of the user are set in the same transaction.
        """

        async def work() -> tuple[int, int]:
            await User.filter(id=user_id).update(
                session_version=F("session_version") + 1,
                session_version_changed_at=now,
                updated_at=now,
                **columns,
            )
            ended = await end_rows(Session.filter(user_id=user_id), by=by, why=why, now=now)
            return ended, (await User.get(id=user_id)).session_version

        ended, version = await self.database.write(work)
        await self.sessions.raise_version(user_id, version, now)
        return ended

    async def bury(self, rows: Sequence[Session]) -> None:
        """Write the tombstones of sessions that the database holds as ended."""
        await asyncio.gather(*(self.sessions.bury(row.user_id, row.id, row.expires_at) for row in rows))


async def end_rows(chosen: QuerySet[Session], *, by: str, why: str, now: datetime) -> int:
    """Mark the chosen sessions as ended, within the caller's transaction; return how many were not yet."""
    return await chosen.filter(revoked_at=None, expires_at__gt=now - KEEP_AFTER_END).update(
        revoked_at=now, revoked_by=by, revoked_why=why
    )
