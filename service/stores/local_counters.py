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
    told: bool = False  # Redis counts it as well by now


@dataclass(slots=True)
class LocalCounters:
    """What Redis has been told of counts on here: the next outage must not hand out the same again."""

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
            pending = self._attempts.get(counter.key, {}).pop(attempt, None)
            if outcome == "failed":
                told = pending is not None and pending.told
                self._add(counter, attempt, _Attempt(at_ms, pending=False, told=told))
        if outcome == "succeeded" and counters[0].policy == "pair":
            pair = self._attempts.get(counters[0].key, {})
            for failed in [name for name, entry in pair.items() if not entry.pending]:
                del pair[failed]

    def alone_holds(self, attempt: str, counters: Sequence[Counter]) -> bool:
        """Whether the attempt is counted here, in any of the counters, and nobody was told of it."""
        found = (self._attempts.get(counter.key, {}).get(attempt) for counter in counters)
        return any(entry is not None and not entry.told for entry in found)

    def untold(self) -> Sequence[tuple[Counter, Sequence[Remembered]]]:
        """Return what is counted here alone, for others to take over."""
        now = self.now_ms()
        untold = {
            key: [Remembered(name, now - at, pending) for name, (at, pending, told) in of.items() if not told]
            for key, of in self._attempts.items()
        }
        return [(self._counters[key], attempts) for key, attempts in untold.items() if attempts]

    def told(self, taken_over: Sequence[tuple[Counter, Sequence[Remembered]]]) -> None:
        """Note that others count these as well; forget what has left its window."""
        for counter, attempts in taken_over:
            here = self._attempts.get(counter.key, {})
            for remembered in attempts:
                if (entry := here.get(remembered.attempt)) is not None:
                    here[remembered.attempt] = entry._replace(told=True)
        now = self.now_ms()
        for counter in list(self._counters.values()):
            if not self._count(counter, now).attempts:
                del self._attempts[counter.key], self._counters[counter.key]

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
