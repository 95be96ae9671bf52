"""End the chosen sessions as an operator, however many they are, and say what is true of them then."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tortoise.queryset import QuerySet

from models import User
from service.clock import Clock
from service.errors import DatabaseUnavailable
from service.security.tokens import KEEP_AFTER_END
from service.stores.announcement import Announcement
from service.stores.bulk_revocations import SESSIONS_AT_ONCE, USERS_AT_ONCE, BulkRevocations
from service.use_cases.choose_sessions import ChooseSessions, Selection

WHY = "revoked_by_operator"

_AT_ONCE = 4 * SESSIONS_AT_ONCE
# Put in the order of their users: each user of a batch is an event, and a word to Redis.
_ORDERED_AT_ONCE = 20_000

# Called with the number of sessions ended so far, after every batch; False stops there.
Proceed = Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class Receipt:
    """How many sessions were alive and are refused everywhere now, and how many users had them."""

    sessions: int
    users: int
    stopped_by: Literal["interrupt", "database"] | None  # None: everything chosen was ended
    confirmed: bool  # by Redis; else by the time that has passed
    seconds: float
    waited_seconds: float  # of these, at the end, for what Redis did not confirm


@dataclass(frozen=True, slots=True)
class Revoke:
    """Stops between two batches, when it is told to or the database is gone; to run it again does the rest.

    A selection of whole users raises their session versions, so their logins in the making are refused, too.
    Named users (not everybody) become unknown to their networks besides.
    """

    choose_sessions: ChooseSessions
    bulk: BulkRevocations
    clock: Clock

    async def __call__(
        self, selection: Selection, *, by: str, proceed: Proceed = lambda _ended: True
    ) -> Receipt:
        """Raise DatabaseUnavailable if nothing was ended before it was gone."""
        begun, announcement = time.monotonic(), self.bulk.announcement()
        ended, stopped_by = await self._end(self._steps(selection, by, announcement), proceed)
        waiting_since = time.monotonic()
        await announcement.known_everywhere()
        done = time.monotonic()
        return Receipt(
            sessions=ended.total(),
            users=len(ended),
            stopped_by=stopped_by,
            confirmed=announcement.confirmed,
            seconds=done - begun,
            waited_seconds=done - waiting_since,
        )

    async def _end(
        self, steps: AsyncIterator[Counter[int]], proceed: Proceed
    ) -> tuple[Counter[int], Literal["interrupt", "database"] | None]:
        ended = Counter[int]()
        try:
            async for some in steps:
                ended += some
                if not proceed(ended.total()):
                    return ended, "interrupt"
        except DatabaseUnavailable:
            if not ended:
                raise
            return ended, "database"
        return ended, None

    def _steps(
        self, selection: Selection, by: str, announcement: Announcement
    ) -> AsyncIterator[Counter[int]]:
        """End batch after batch; yield how many sessions of each user those were."""
        if selection.whole_users:
            return self._end_users(selection.user_ids, by, announcement)
        return self._end_sessions(selection, by, announcement)

    async def _end_users(
        self, chosen: frozenset[int] | None, by: str, announcement: Announcement
    ) -> AsyncIterator[Counter[int]]:
        async for user_ids in self._users(chosen):
            now = self.clock()
            # Had everybody become unknown to her networks, a siege of any account would shut its owner out.
            ended = await self.bulk.raise_versions(
                user_ids, forget=chosen is not None, by=by, now=now, announcement=announcement
            )
            yield ended
            while await self.bulk.mark(user_ids, by=by, why=WHY, now=now):
                yield Counter()

    async def _users(self, chosen: frozenset[int] | None) -> AsyncIterator[Sequence[int]]:
        last = 0
        users = User.all() if chosen is None else User.filter(id__in=chosen)
        while some := await self._after(last, users.order_by("id").limit(USERS_AT_ONCE)):
            last = some[-1]
            yield some

    async def _after(self, last: int, users: QuerySet[User]) -> Sequence[int]:
        ids = users.filter(id__gt=last).values_list("id")
        return [user_id for (user_id,) in await self.choose_sessions.database.read(lambda: ids)]

    async def _end_sessions(
        self, selection: Selection, by: str, announcement: Announcement
    ) -> AsyncIterator[Counter[int]]:
        async for sids in self._sids(selection):
            now = self.clock()
            parts = [
                sids[first : first + SESSIONS_AT_ONCE] for first in range(0, len(sids), SESSIONS_AT_ONCE)
            ]
            # Side by side: while one is being committed, the tombstones of another are written.
            ending = (
                self.bulk.end(part, by=by, why=WHY, now=now, announcement=announcement) for part in parts
            )
            done = await asyncio.gather(*ending, return_exceptions=True)
            ended = sum((part for part in done if isinstance(part, Counter)), Counter[int]())
            yield ended
            for part in done:
                if isinstance(part, BaseException):
                    raise part

    async def _sids(self, selection: Selection) -> AsyncIterator[Sequence[str]]:
        """Yield the chosen ids, some at once; named ones though ended, whose tombstone may have been lost."""
        if selection.sids is not None and replace(selection, sids=None) == Selection():
            yield sorted(selection.sids)
            return
        waiting: list[tuple[int, str]] = []
        # A token is good for its leeway longer, and as long its session could be refreshed.
        async for batch in self.choose_sessions.batches(selection, ended_for=KEEP_AFTER_END):
            waiting += [(found.user_id, found.id) for found in batch]
            if len(waiting) >= _ORDERED_AT_ONCE:
                for some in _by_user(waiting):
                    yield some
                waiting.clear()
        for some in _by_user(waiting):
            yield some


def _by_user(waiting: Sequence[tuple[int, str]]) -> Iterator[Sequence[str]]:
    sids = [sid for _, sid in sorted(waiting)]
    return (sids[first : first + _AT_ONCE] for first in range(0, len(sids), _AT_ONCE))
