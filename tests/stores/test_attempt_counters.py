"""The counters of login attempts do what a few lines of plain Python say they should, whatever happens."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from service.security.networks import Client
from service.settings import Limit
from service.stores.attempt_counters import (
    Counter,
    Counters,
    Outcome,
    RedisCounters,
    Remembered,
    milliseconds,
)
from service.stores.local_counters import LocalCounters
from service.stores.login_guard import LoginLimits, counters_of
from service.stores.pipeline import Pipeline
from tests.stores_in_use import Stores

STALE_AFTER = timedelta(seconds=15)
LIMITS = LoginLimits(
    pair=Limit(2, timedelta(seconds=60)),
    account=Limit(3, timedelta(seconds=900)),
    network=Limit(4, timedelta(seconds=300)),
)
# Two addresses of one IPv6 household, another household of the same site, and two of IPv4.
CLIENTS = [
    Client.at(address)
    for address in ("2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:2::1", "192.0.2.1", "192.0.2.2")
]


# An attempt's id, its time in milliseconds, and where it was counted.
Reserved = tuple[str, int, Sequence[Counter]]


class Clock:
    milliseconds = 1_800_000_000_000

    def __call__(self) -> int:
        return self.milliseconds


@dataclass
class Charge:
    at: int
    pending: bool = True


class Model:
    """The rules, without a thought of speed or of processes."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.charges: dict[str, dict[str, Charge]] = defaultdict(dict)

    def decide(self, counters: Sequence[Counter]) -> tuple[str, int]:
        """Give the verdict, and milliseconds until no counter is blocked by failures any more."""
        now = self.clock()
        verdict, wait = "counted", 0
        for counter in counters:
            window = milliseconds(counter.window)
            inside = [charge for charge in self.charges[counter.key].values() if charge.at > now - window]
            fresh = [charge for charge in inside if self._fresh(charge)]
            if len(inside) - len(fresh) >= counter.limit:
                verdict = "blocked"
                leaving = sorted(charge.at for charge in inside)[len(inside) - counter.limit]
                wait = max(wait, leaving + window - now)
            elif len(inside) >= counter.limit and verdict != "blocked":
                verdict = "full"
        return verdict, wait

    def charge(self, attempt: str, counters: Sequence[Counter]) -> None:
        for counter in counters:
            self.charges[counter.key][attempt] = Charge(self.clock())

    def settle(self, attempt: str, outcome: Outcome, counters: Sequence[Counter]) -> None:
        for counter in counters:
            if outcome == "failed":
                self.charges[counter.key][attempt].pending = False
            else:
                del self.charges[counter.key][attempt]
        if outcome == "succeeded":
            pair = self.charges[counters[0].key]
            for name in [name for name, charge in pair.items() if not charge.pending]:
                del pair[name]

    def _fresh(self, charge: Charge) -> bool:
        return charge.pending and charge.at > self.clock() - milliseconds(STALE_AFTER)


class Machine(RuleBasedStateMachine):
    """Drives the real counters and the model alike, and compares every verdict."""

    pending = Bundle("pending")

    def __init__(self, make: Callable[[Clock], Counters], run: Callable[[Any], Any]) -> None:
        super().__init__()
        self.clock = Clock()
        self.model = Model(self.clock)
        self.real = make(self.clock)
        self.run = run
        self.number = 0

    @rule(
        target=pending,
        account=st.sampled_from(["one", "one", "one", "two"]),
        client=st.sampled_from(CLIENTS),
        known=st.booleans(),
    )
    def reserve(
        self, account: str, client: Client, *, known: bool
    ) -> tuple[str, int, Sequence[Counter]] | None:
        self.number += 1
        attempt = str(self.number)
        counters = counters_of(LIMITS, account, client, known=known)
        expected = self.model.decide(counters)

        decision = self.run(self.real.reserve(attempt, counters))

        assert (decision.verdict, milliseconds(decision.blocked_for)) == expected
        if decision.verdict != "counted":
            return None
        self.model.charge(attempt, counters)
        return attempt, decision.at_ms, counters

    @rule(
        reservation=consumes(pending), outcome=st.sampled_from(["failed", "failed", "succeeded", "refunded"])
    )
    def settle(self, reservation: Reserved | None, outcome: Outcome) -> None:
        assume(reservation is not None)
        assert reservation is not None
        attempt, at_ms, counters = reservation
        self.run(self.real.settle(attempt, at_ms, outcome, counters))
        self.model.settle(attempt, outcome, counters)

    @rule(span=st.sampled_from([1, 500, 14_999, 15_000, 59_999, 60_000, 299_999, 900_000]))
    def wait(self, span: int) -> None:
        self.clock.milliseconds += span

    @rule(account=st.sampled_from(["one", "two"]), client=st.sampled_from(CLIENTS))
    def sleep_what_a_refusal_said(self, account: str, client: Client) -> None:
        """Whoever comes back when told to is not blocked again, if nobody spent from her counters."""
        counters = counters_of(LIMITS, account, client, known=False)
        refused = self.run(self.real.reserve("", counters))
        assume(refused.verdict == "blocked")
        self.clock.milliseconds += milliseconds(refused.blocked_for)

        again = self.run(self.real.reserve("", counters))

        # Attempts that are pending for so long have become failures, and count from their own beginning.
        overdue = any(
            charge.pending for counter in counters for charge in self.model.charges[counter.key].values()
        )
        assert overdue or again.verdict != "blocked"

    @invariant()
    def no_counter_holds_more_than_its_limit(self) -> None:
        for account in ("one", "two"):
            for client in CLIENTS:
                counters = counters_of(LIMITS, account, client, known=False)
                counts = self.run(self.real.reserve("", counters)).counts
                assert all(
                    count.attempts <= counter.limit for counter, count in zip(counters, counts, strict=True)
                )


PROFILE = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def redis(loop: asyncio.AbstractEventLoop, stores: Stores) -> Any:
    pipeline = Pipeline.connect(stores.redis_url, timedelta(seconds=5))
    yield pipeline
    loop.run_until_complete(pipeline.close())


def test_in_redis(loop: asyncio.AbstractEventLoop, redis: Pipeline, stores: Stores) -> None:
    def make(clock: Clock) -> Counters:
        stores.forget_redis()
        return RedisCounters(redis, STALE_AFTER, clock)

    compare(make, loop)


def test_in_one_process(loop: asyncio.AbstractEventLoop) -> None:
    def make(clock: Clock) -> Counters:
        return LocalCounters(STALE_AFTER, clock)

    compare(make, loop)


def compare(make: Callable[[Clock], Counters], loop: asyncio.AbstractEventLoop) -> None:
    # Any factory of machines will do, whatever the annotation says.
    run_state_machine_as_test(
        lambda: Machine(make, loop.run_until_complete),  # type: ignore[arg-type]
        settings=PROFILE,
    )


async def test_by_the_clock_of_redis_unless_told_another(stores: Stores) -> None:
    redis = Pipeline.connect(stores.redis_url, timedelta(seconds=5))
    seconds, _ = await redis.execute("TIME")
    counters = counters_of(LIMITS, "own clock", CLIENTS[0], known=False)

    decision = await RedisCounters(redis, STALE_AFTER).reserve("attempt", counters)

    await redis.close()
    assert abs(decision.at_ms - int(seconds) * 1000) < 5000


async def test_a_failure_that_is_taken_over_counts_once_though_it_was_pending(stores: Stores) -> None:
    redis = Pipeline.connect(stores.redis_url, timedelta(seconds=5))
    shared = RedisCounters(redis, STALE_AFTER)
    counters = counters_of(LIMITS, "counted twice", CLIENTS[0], known=False)
    await shared.reserve("late", counters)

    await shared.take_over(counters[0], [Remembered("late", 100, pending=False)])
    counts = (await shared.reserve("", counters)).counts

    await redis.close()
    assert (counts[0].attempts, counts[0].pending) == (1, 0)
