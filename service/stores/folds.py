"""Count events alike, of one account and network, as one a minute: bounded in number, exact in total."""

from collections import Counter
from datetime import datetime
from typing import NamedTuple

from service.security.tokens import new_id
from service.telemetry.events import Event

# Whoever tries ever other names, or comes from ever other networks, gets no row for each of them: beyond so
# many in one minute the account is left out, and then the network too. What is left out is still counted.
ACCOUNTS_OF_A_NETWORK = 50
FOLDS_A_MINUTE = 1000
# Those that wait for a database that is away: twenty minutes of the worst, a month of what is left out.
_FOLDS_MAX = 20_000
_COARSE_FOLDS_MAX = 2 * _FOLDS_MAX


class _Kind(NamedTuple):
    """What events have in common that are one row; the minute is counted from 1970."""

    minute: int
    name: str
    account: str | None
    network: str | None


class Entry:
    """What is to be one row. The key makes it one, however often it is sent to the database."""

    __slots__ = ("count", "event", "key", "sent", "written")

    def __init__(self, event: Event, count: int = 1, key: str | None = None) -> None:
        self.key, self.event, self.count = key or new_id(), event, count
        self.sent = False  # it may be there, whatever was answered
        self.written = 0  # so much of the count is there for sure

    @property
    def waiting(self) -> int:
        return self.count - self.written


class Folds:
    """All that is folded and not yet over: its minute lasts, or its count is not written."""

    def __init__(self) -> None:
        self._folds: dict[_Kind, Entry] = {}
        self._minute = 0
        self._of_the_minute = 0
        self._accounts: Counter[str | None] = Counter()  # by network, in this minute

    def add(self, event: Event) -> bool:
        """Count the event; return False where there is no room even for the coarsest row."""
        minute = _minute_of(event.at)
        kind = _Kind(minute, event.name, event.account, event.network)
        fold = self._folds.get(kind)
        if fold is None:
            self._begin(minute)
            event = self._coarser(event)
            kind = _Kind(minute, event.name, event.account, event.network)
            fold = self._folds.get(kind) or self._new(kind, event)
        if fold is not None:
            fold.count += 1
        return fold is not None

    def unwritten(self) -> list[Entry]:
        return [fold for fold in self._folds.values() if fold.waiting]

    def forget(self, now: datetime) -> None:
        """Drop what is written and over."""
        minute = _minute_of(now)
        over = [kind for kind, fold in self._folds.items() if kind.minute < minute and not fold.waiting]
        for kind in over:
            del self._folds[kind]

    def _begin(self, minute: int) -> None:
        if minute > self._minute:
            self._minute, self._of_the_minute = minute, 0
            self._accounts.clear()

    def _coarser(self, event: Event) -> Event:
        """Leave out of the event what would make one row too many."""
        if self._of_the_minute >= FOLDS_A_MINUTE or len(self._folds) >= _FOLDS_MAX:
            return Event(event.name, event.at)
        if self._accounts[event.network] >= ACCOUNTS_OF_A_NETWORK:
            return Event(event.name, event.at, network=event.network)
        return event

    def _new(self, kind: _Kind, event: Event) -> Entry | None:
        if len(self._folds) >= _COARSE_FOLDS_MAX:
            return None
        self._of_the_minute += 1
        self._accounts[event.network] += 1
        return self._folds.setdefault(kind, Entry(event, 0))


def _minute_of(at: datetime) -> int:
    return int(at.timestamp()) // 60
