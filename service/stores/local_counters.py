"""Count login attempts by time in the memory of this process, for as long as Redis is gone."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from service.stores.attempt_counters import (
    Count,
    Counter,
    Decision,
    Outcome,
    Remembered,
    Verdict,
    milliseconds,
)

# More counters than that, and the oldest are dropped: memory is bounded. Only an attempt that was counted
# makes one, so it takes as many hashes to push one out.
_COUNTERS = 30_000


class _Attempt(NamedTuple):
    at_ms: int
    pending: bool


@dataclass(slots=True)
class LocalCounters:
    stale_after: timedelta
    now_ms: Callable[[], int] = lambda: int(time.monotonic() * 1000)
    _attempts: OrderedDict[str, dict[str, _Attempt]] = field(default_factory=OrderedDict)
    _counters: dict[str, Counter] = field(default_factory=dict)

    async def reserve(self, attempt: str, counters: Sequence[Counter]) -> Decision:
        now = self.now_ms()
        verdict: Verdict = "counted"
        blocked_ms = 0
        for counter in counters:
            count = self._count(counter, now)
            if count.attempts - count.pending >= counter.limit:
                verdict = "blocked"
                blocked_ms = max(blocked_ms, self._frees_at(counter) - now)
            elif count.attempts >= counter.limit and verdict == "counted":
                verdict = "full"
        if verdict == "counted" and attempt:
            for counter in counters:
                self._add(counter, attempt, _Attempt(now, pending=True))
        counts = [self._count(counter, now) for counter in counters]
        return Decision(verdict, timedelta(milliseconds=blocked_ms), now, counts)

    async def settle(self, attempt: str, at_ms: int, outcome: Outcome, counters: Sequence[Counter]) -> None:
        for counter in counters:
            self._attempts.get(counter.key, {}).pop(attempt, None)
            if outcome == "failed":
                self._add(counter, attempt, _Attempt(at_ms, pending=False))
        if outcome == "succeeded" and counters[0].policy == "pair":
            pair = self._attempts.get(counters[0].key, {})
            for failed in [name for name, entry in pair.items() if not entry.pending]:
                del pair[failed]

    def holds(self, attempt: str, counters: Sequence[Counter]) -> bool:
        """Whether the attempt is still counted here, in any of the counters."""
        return any(attempt in self._attempts.get(counter.key, {}) for counter in counters)

    def remembered(self) -> Sequence[tuple[Counter, Sequence[Remembered]]]:
        """Return all that is counted here, for others to take over."""
        now = self.now_ms()
        return [
            (self._counters[key], [Remembered(name, now - at, pending) for name, (at, pending) in of.items()])
            for key, of in self._attempts.items()
            if of
        ]

    def forget_all(self) -> None:
        self._attempts.clear()
        self._counters.clear()

    def _add(self, counter: Counter, name: str, entry: _Attempt) -> None:
        self._attempts.setdefault(counter.key, {})[name] = entry
        self._attempts.move_to_end(counter.key)
        self._counters[counter.key] = counter
        while len(self._attempts) > _COUNTERS:
            oldest, _ = self._attempts.popitem(last=False)
            del self._counters[oldest]

    def _count(self, counter: Counter, now: int) -> Count:
        """Forget what has left the window, and count the rest."""
        window, stale = milliseconds(counter.window), now - milliseconds(self.stale_after)
        kept = self._attempts.get(counter.key, {})
        for name in [name for name, entry in kept.items() if entry.at_ms <= now - window]:
            del kept[name]
        pending = sum(entry.pending and entry.at_ms > stale for entry in kept.values())
        oldest = min((entry.at_ms for entry in kept.values()), default=now)
        return Count(len(kept), pending, timedelta(milliseconds=oldest + window - now))

    def _frees_at(self, counter: Counter) -> int:
        times = sorted(entry.at_ms for entry in self._attempts[counter.key].values())
        return times[len(times) - counter.limit] + milliseconds(counter.window)
