"""End sessions: commit to the database, then tell Redis, then report."""

import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from tortoise.expressions import F, Subquery
from tortoise.functions import Count
from tortoise.queryset import QuerySet

from models import Session, User
from service.security.tokens import KEEP_AFTER_END
from service.stores.announcement import Announcement
from service.stores.database import Database
from service.stores.login_history import forget_networks
from service.stores.security_events import SecurityEvents
from service.stores.sessions import SessionStore
from service.telemetry.events import Event
from service.uncancelled import in_background

# SQLite takes 999 parameters in its older versions.
_ENDED_AT_ONCE = 900
_MARKED_AT_ONCE = 2000


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

    async def end_many(
        self, chosen: QuerySet[Session], *, by: str, why: str, now: datetime, event: Event
    ) -> int:
        """Likewise however many they are: some at once, each time with an event."""
        ended, last = 0, ""
        rows = chosen.filter(expires_at__gt=now - KEEP_AFTER_END).order_by("id").limit(_ENDED_AT_ONCE)
        while True:
            sids = await self.database.read(partial(_ids, rows.filter(id__gt=last)))
            some = Session.filter(id__in=sids)
            ended += await self.end(some, by=by, why=why, now=now, event=event)
            if len(sids) < _ENDED_AT_ONCE:
                return ended
            last = sids[-1]

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

        async def work() -> tuple[int, int, bool]:
            await User.filter(id=user_id).update(**self.raised_version(now), **columns)
            if forget:
                await forget_networks(user_id)
            ended = (await alive_until_now([user_id], now))[user_id]
            more = await self.mark_some([user_id], by=by, why=why, now=now)
            return ended, (await User.get(id=user_id)).session_version, more

        ended, version, more = await self.events.commit(
            work, lambda done: event.with_details(sessions=done[0])
        )
        await self.raise_version(user_id, version, now)
        if more:
            in_background(self.mark_all([user_id], by=by, why=why, now=now))
        return ended

    def raised_version(self, now: datetime) -> dict[str, Any]:
        """Give the columns of a user that end all her sessions, those in the making included."""
        return {
            "session_version": F("session_version") + 1,
            "session_version_changed_at": now,
            "version_change": self.database.change_number("users", "version_change"),
            "updated_at": now,
        }

    def announcement(self) -> Announcement:
        return Announcement(self.database, self.monotonic)

    async def bury(self, rows: Sequence[Session]) -> None:
        """Have sessions refused that the database has just committed as ended."""
        ends = defaultdict[int, dict[str, datetime]](dict)
        for row in rows:
            ends[row.user_id][row.id] = row.expires_at
        if ends:
            await self._known_everywhere(self.sessions.bury_all(ends))

    async def raise_version(self, user_id: int, version: int, now: datetime) -> None:
        """Have all sessions refused that are older than the version just committed."""
        await self._known_everywhere(self.sessions.raise_version(user_id, version, now))

    async def end_rows(self, chosen: QuerySet[Session], *, by: str, why: str, now: datetime) -> int:
        """Mark sessions as ended, within the caller's transaction; return how many were not yet."""
        change = self.database.change_number("sessions", "revoked_change")
        return await _not_ended(chosen, now).update(
            revoked_at=now, revoked_by=by, revoked_why=why, revoked_change=change
        )

    async def mark_some(self, user_ids: Sequence[int], *, by: str, why: str, now: datetime) -> bool:
        """Write down who ended sessions whose version was raised, some at once; return whether more are left.

        They are dead without it: one that is never marked is only missing from the record. Within the
        caller's transaction, which stays short however many they are.
        """
        dead = _not_ended(Session.filter(user_id__in=user_ids), now).filter(
            user__session_version__gt=F("version")
        )
        some = Session.filter(id__in=Subquery(dead.limit(_MARKED_AT_ONCE).values("id")))
        return await some.update(revoked_at=now, revoked_by=by, revoked_why=why) == _MARKED_AT_ONCE

    async def mark_all(self, user_ids: Sequence[int], *, by: str, why: str, now: datetime) -> None:
        """Write it down for the rest, in transactions of their own."""
        while await self.database.write(lambda: self.mark_some(user_ids, by=by, why=why, now=now)):
            pass

    async def _known_everywhere(self, telling: Awaitable[object]) -> None:
        """Wait until Redis has confirmed what was committed just now, or else everybody has read it."""
        announcement = self.announcement()
        await announcement.tell(telling)
        await announcement.known_everywhere()


async def _ids(rows: QuerySet[Session]) -> list[str]:
    return [sid for (sid,) in await rows.values_list("id")]


async def alive_until_now(user_ids: Sequence[int], now: datetime) -> Counter[int]:
    """Count the sessions of each user that were alive before the caller raised the versions by one."""
    alive = Session.filter(
        user_id__in=user_ids,
        revoked_at=None,
        expires_at__gt=now,
        user__session_version=F("version") + 1,
    )
    rows = await alive.annotate(count=Count("id")).group_by("user_id").values_list("user_id", "count")
    return Counter(dict(rows))


def _not_ended(chosen: QuerySet[Session], now: datetime) -> QuerySet[Session]:
    return chosen.filter(revoked_at=None, expires_at__gt=now - KEEP_AFTER_END)
