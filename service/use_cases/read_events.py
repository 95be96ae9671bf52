"""Read the audit trail: all of a time, or what is new."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from models import SecurityEvent, User, fold_user
from service.clock import Clock
from service.security.accounts import AccountHash
from service.stores.database import Database

_AT_ONCE = 500
# A row's number is drawn before its transaction commits, so a lower one may appear after a higher one. No
# transaction of the service takes as long as this.
VISIBLE_WITHIN = timedelta(seconds=10)
# More numbers than are drawn meanwhile: how far back to look at the beginning.
_SETTLING = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are asked for: those that match all that is given."""

    user: str | None = None
    name: str | None = None
    network: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReadEvents:
    database: Database
    account_hash: AccountHash
    clock: Clock

    async def export(self, wanted: Filter) -> AsyncIterator[SecurityEvent]:
        """Give every event in the order of the rows, however many, in the memory of some hundred."""
        chosen = await self._chosen(wanted)
        async for row in self.after(chosen, 0):
            yield row

    async def tail(self, wanted: Filter, count: int) -> tuple[Sequence[SecurityEvent], "Follower"]:
        """Return the last so many, the oldest of them first, and who gives what appears after them."""
        chosen = await self._chosen(wanted)
        follower = Follower(self, chosen, settled=await self.newest() - _SETTLING)
        await follower.news()
        rows = await self.database.read(lambda: chosen.order_by("-id").limit(count))
        # Read after what is known: nothing falls between the two, and this makes sure nothing is in both.
        follower.knows(rows)
        return rows[::-1], follower

    async def newest(self) -> int:
        """Return the highest number of all rows, chosen or not; 0 if there is none."""
        last = SecurityEvent.all().order_by("-id").limit(1).values_list("id")
        return max([number for (number,) in await self.database.read(lambda: last)], default=0)

    async def after(self, chosen: QuerySet[SecurityEvent], last: int) -> AsyncIterator[SecurityEvent]:
        """Page by the row's number, which costs the same for the last page as for the first."""
        while rows := await self._page(chosen.filter(id__gt=last)):
            for row in rows:
                yield row
            last = rows[-1].id

    async def _page(self, chosen: QuerySet[SecurityEvent]) -> Sequence[SecurityEvent]:
        return await self.database.read(lambda: chosen.order_by("id").limit(_AT_ONCE))

    async def _chosen(self, wanted: Filter) -> QuerySet[SecurityEvent]:
        given = {"name": wanted.name, "network": wanted.network}
        times = {"at__gte": wanted.since, "at__lt": wanted.until}
        conditions = {name: value for name, value in (given | times).items() if value is not None}
        chosen = SecurityEvent.filter(**conditions)
        return chosen if wanted.user is None else chosen.filter(await self._about(wanted.user))

    async def _about(self, user: str) -> Q:
        """Match what is known of a name by her id, and what was tried on it by its hash."""
        key = fold_user(user)
        tried = Q(account__in=self.account_hash(key).all)
        found = await self.database.read(lambda: User.get_or_none(user_key=key))
        return tried if found is None else tried | Q(user_id=found.id)


class Follower:
    """Remembers what it gave of the last seconds, and looks at those again for what came late."""

    def __init__(self, events: ReadEvents, chosen: QuerySet[SecurityEvent], settled: int) -> None:
        self._events = events
        self._chosen = chosen
        self._settled = settled  # nothing will appear up to here any more
        self._given: set[int] = set()  # beyond that
        self._marks: deque[tuple[datetime, int]] = deque()  # what the highest number was by then, beyond that

    async def news(self) -> Sequence[SecurityEvent]:
        """Return what appeared since the last call; with DatabaseUnavailable nothing is lost."""
        began = self._events.clock()
        newest = await self._events.newest()
        rows = [row async for row in self._events.after(self._chosen, self._settled)]
        new = [row for row in rows if row.id not in self._given]
        self.knows(new)
        self._marks.append((self._events.clock(), newest))
        self._settle(before=began - VISIBLE_WITHIN)
        return new

    def knows(self, rows: Sequence[SecurityEvent]) -> None:
        """Take rows for given."""
        self._given.update(row.id for row in rows)

    def _settle(self, before: datetime) -> None:
        """Leave behind what was drawn before a time: all of it had appeared by the look just taken."""
        while self._marks and self._marks[0][0] < before:
            self._settled = max(self._settled, self._marks.popleft()[1])
        self._given = {number for number in self._given if number > self._settled}
