"""Write security events down: with the transaction that they are about, or soon after the answer."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TypeVar

from models import SecurityEvent
from service.clock import Clock
from service.errors import DatabaseUnavailable
from service.periodic import Periodic
from service.stores.database import Database
from service.stores.folds import Entry, Folds
from service.telemetry import metrics
from service.telemetry.events import Event, log

T = TypeVar("T")
_log = logging.getLogger("service")

_WRITE_EVERY = timedelta(seconds=1)
_AT_ONCE = 200
# Many statements, behind which nobody waits: that they take their time is no outage.
_PATIENCE = timedelta(seconds=10)
# While the database is away; what is beyond that is counted as dropped.
NOTED_MAX = 10_000


class SecurityEvents:
    """The audit trail. A row each, and of the service a line in the log; nothing here delays an answer.

    `commit` is for what a transaction does: no such thing happens without its row. `note` is for the rest,
    which is written once a second; `note_folded` for what strangers can make happen as often as they like.
    A worker that is killed takes the last second along.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._noted: list[Entry] = []
        self._folds = Folds()
        self._periodic = Periodic(self.write, _WRITE_EVERY)

    def start(self) -> None:
        self._periodic.start()

    async def stop(self) -> None:
        """Write no more by itself: whoever closes the database writes once more when all work has ended."""
        await self._periodic.stop()

    async def commit(self, work: Callable[[], Awaitable[T]], event: Callable[[T], Event]) -> T:
        """Run a transaction with the row of the event that its result makes; log it once committed."""

        return await self.commit_all(work, lambda result: [event(result)])

    async def commit_all(
        self,
        work: Callable[[], Awaitable[T]],
        events: Callable[[T], Sequence[Event]],
        within: timedelta | None = None,
    ) -> T:
        """Likewise of several events; `within`: more time than a transaction has otherwise."""

        async def work_and_events() -> tuple[T, Sequence[Event]]:
            result = await work()
            told = events(result)
            await SecurityEvent.bulk_create([_row(Entry(event)) for event in told])
            return result, told

        result, told = await self._database.write(work_and_events, within=within)
        for event in told:
            log(event)
        return result

    async def commit_once(self, event: Event, key: str) -> None:
        """Write an event that several processes may tell of, as one row: they agree on its key."""
        await self._database.write(partial(_upsert, [_row(Entry(event, key=key))], ()))
        log(event)

    def note(self, event: Event) -> None:
        log(event)
        if len(self._noted) < NOTED_MAX:
            self._noted.append(Entry(event))
        else:
            metrics.EVENTS_DROPPED.count()

    def note_folded(self, event: Event) -> None:
        log(event)
        if not self._folds.add(event):
            metrics.EVENTS_DROPPED.count()

    async def write(self) -> None:
        """Write what was noted; what could not be written is kept for the next time."""
        entries = self._unwritten()
        try:
            for begin in range(0, len(entries), _AT_ONCE):
                await self._write_some(entries[begin : begin + _AT_ONCE])
        except DatabaseUnavailable:
            _log.warning("events_not_written", extra={"events": self.waiting})
        self._noted = [entry for entry in self._noted if entry.waiting]
        self._folds.forget(self._clock())

    async def write_the_last(self) -> None:
        """Write before the database is closed; what it does not take now is lost, and said to be."""
        await self.write()
        metrics.EVENTS_DROPPED.count(by=self.waiting)

    @property
    def waiting(self) -> int:
        """How many events have no row yet."""
        return sum(entry.waiting for entry in self._unwritten())

    def _unwritten(self) -> list[Entry]:
        return [*self._noted, *self._folds.unwritten()]

    async def _write_some(self, entries: Sequence[Entry]) -> None:
        # Counted on while they are written: what is sent is taken down first.
        counts = [entry.count for entry in entries]
        raised = [(entry.key, entry.count) for entry in entries if entry.sent]
        for entry in entries:
            entry.sent = True
        upsert = partial(_upsert, [_row(entry) for entry in entries], raised)
        await self._database.write(upsert, within=_PATIENCE)
        for entry, count in zip(entries, counts, strict=True):
            entry.written = count


async def _upsert(rows: Sequence[SecurityEvent], raised: Sequence[tuple[str, int]]) -> None:
    """Write each row once, and raise the count of those that may be there; a count is never lowered."""
    await SecurityEvent.bulk_create(rows, ignore_conflicts=True)
    for key, count in raised:
        await SecurityEvent.filter(key=key, count__lt=count).update(count=count)


def _row(entry: Entry) -> SecurityEvent:
    event = entry.event
    # SecurityEvent() would look at every value. They are ours, and lengths are checked as it is saved.
    return SecurityEvent.construct(
        key=entry.key,
        name=event.name,
        at=event.at,
        user_id=event.user_id,
        account=event.account,
        network=event.network,
        sid=event.sid,
        by=event.by,
        details=dict(event.details),
        count=entry.count,
    )
