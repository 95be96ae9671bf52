"""Count login attempts by time, in Redis, for all processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, NamedTuple, Protocol

from service.stores.pipeline import Commands, Script

Outcome = Literal["failed", "succeeded", "refunded"]
Verdict = Literal["counted", "blocked", "full"]

_VERDICTS: dict[int, Verdict] = {1: "counted", 0: "blocked", -1: "full"}
_reserve_attempt = Script("reserve_attempt")
_settle_attempt = Script("settle_attempt")
_take_over_attempts = Script("take_over_attempts")


class Counter(NamedTuple):
    """At most `limit` attempts within the window, under one key."""

    policy: Literal["pair", "account", "network", "wide network"]
    key: str
    limit: int
    window: timedelta


class Count(NamedTuple):
    """What a counter holds: attempts, those still pending of them, and when the oldest leaves the window."""

    attempts: int
    pending: int
    oldest_leaves: timedelta


class Decision(NamedTuple):
    """Whether an attempt was counted; if failures block it, when they would not any more.

    "full": without the attempts that are still pending it would have been allowed.
    """

    verdict: Verdict
    blocked_for: timedelta
    at_ms: int
    counts: Sequence[Count]


class Remembered(NamedTuple):
    """One attempt of a counter, as another store of counters takes it over."""

    attempt: str
    age_ms: int
    pending: bool


class Counters(Protocol):
    """Where attempts are counted. Both operations are one atomic step over all the counters."""

    async def reserve(self, attempt: str, counters: Sequence[Counter]) -> Decision:
        """Count the attempt as pending in all of the counters, or in none; "" is only a question."""

    async def settle(self, attempt: str, at_ms: int, outcome: Outcome, counters: Sequence[Counter]) -> None:
        """Turn a pending attempt into a failure, or take it out; a success clears the pair's failures."""


class SharedCounters(Counters, Protocol):
    """Counters of all processes: what one of them counted by itself may be added."""

    async def forget(self, key: str) -> None:
        """Forget all attempts of one counter."""

    async def take_over(self, counter: Counter, attempts: Sequence[Remembered]) -> None:
        """Add attempts that were counted elsewhere."""


@dataclass(frozen=True, slots=True)
class RedisCounters:
    """The counters of all processes. Raises RedisUnavailable; an unsettled attempt counts as a failure."""

    redis: Commands
    stale_after: timedelta
    now_ms: Callable[[], int | str] = lambda: ""  # "": the clock of Redis

    async def reserve(self, attempt: str, counters: Sequence[Counter]) -> Decision:
        policies = [number for c in counters for number in (c.limit, milliseconds(c.window))]
        reply = await self.redis.run(
            _reserve_attempt,
            [c.key for c in counters],
            self.now_ms(),
            attempt,
            milliseconds(self.stale_after),
            *policies,
        )
        verdict, blocked_ms, at_ms, *numbers = reply
        counts = [
            Count(numbers[i], numbers[i + 1], timedelta(milliseconds=numbers[i + 2]))
            for i in range(0, len(numbers), 3)
        ]
        return Decision(_VERDICTS[verdict], timedelta(milliseconds=blocked_ms), at_ms, counts)

    async def forget(self, key: str) -> None:
        await self.redis.execute("DEL", key)

    async def take_over(self, counter: Counter, attempts: Sequence[Remembered]) -> None:
        """Add attempts that were counted elsewhere; more than the limit is no harm."""
        named: list[str | int] = []
        for name, age_ms, pending in attempts:
            named += [f"{'p' if pending else 'f'}:{name}", age_ms]
        await self.redis.run(_take_over_attempts, [counter.key], milliseconds(counter.window), *named)

    async def settle(self, attempt: str, at_ms: int, outcome: Outcome, counters: Sequence[Counter]) -> None:
        keys = [c.key for c in counters]
        windows = [milliseconds(c.window) for c in counters]
        clears = outcome == "succeeded" and counters[0].policy == "pair"
        await self.redis.run(_settle_attempt, keys, attempt, at_ms, outcome, int(clears), *windows)


def milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
