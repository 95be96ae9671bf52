"""Rates are those of a bucket that a few lines of plain Python describe, in Redis and without it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import Budget, TooManyRequests
from service.settings import Rate
from service.stores import rate_limits
from service.stores.pipeline import Pipeline
from service.stores.rate_limits import Bucket, LocalRates, NetworkRate
from tests.stores_in_use import Stores

START_US = 1_800_000_000_000_000
PROFILE = settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

# Whether it was allowed, what is left, and seconds until the next one is.
Outcome = tuple[bool, int, int]
Charge = Callable[[], Awaitable[Budget | None]]


@dataclass
class Clock:
    now_us: int = START_US

    def __call__(self) -> int:
        return self.now_us


@dataclass
class TokenBucket:
    """The rule: tokens drip in at the rate, no more than fit are kept, each request takes one."""

    bucket: Bucket
    clock: Clock
    drips: int = field(init=False)  # microseconds' worth of tokens
    last_us: int = field(init=False)

    def __post_init__(self) -> None:
        self.drips, self.last_us = self.bucket.capacity * self.bucket.interval_us, self.clock()

    def take(self) -> Outcome:
        interval, now = self.bucket.interval_us, self.clock()
        self.drips = min(self.bucket.capacity * interval, self.drips + now - self.last_us)
        self.last_us = now
        if self.drips < interval:
            return False, 0, max(1, -((self.drips - interval) // 1_000_000))
        self.drips -= interval
        return True, self.drips // interval, 0


rates = st.builds(
    Rate,
    count=st.integers(1, 7),
    period=st.integers(20, 100).map(lambda seconds: timedelta(seconds=seconds)),
    burst=st.integers(0, 5),
)
# Microseconds between one request and the next.
pauses = st.lists(
    st.one_of(st.just(0), st.integers(0, 1_000_000), st.integers(0, 300_000_000)), min_size=1, max_size=25
)
numbers = count()


@pytest.fixture
def redis(loop: asyncio.AbstractEventLoop, stores: Stores) -> Pipeline:
    stores.forget_redis()
    return Pipeline.connect(stores.redis_url, timedelta(seconds=5))


def test_in_redis(loop: asyncio.AbstractEventLoop, redis: Pipeline) -> None:
    @PROFILE
    @given(rates, pauses)
    def compare(rate: Rate, pauses: Sequence[int]) -> None:
        bucket, clock, name = Bucket.of("network", rate), Clock(), f"network {next(numbers)}"
        real = NetworkRate(redis, LocalRates(1), bucket, clock)

        outcomes, expected = loop.run_until_complete(play(lambda: real.charge(name), bucket, clock, pauses))

        assert outcomes == expected

    compare()
    loop.run_until_complete(redis.close())


def test_in_one_process(loop: asyncio.AbstractEventLoop) -> None:
    @PROFILE
    @given(rates, pauses)
    def compare(rate: Rate, pauses: Sequence[int]) -> None:
        bucket, clock = Bucket.of("network", rate), Clock()
        local = LocalRates(1, clock)

        async def charge() -> Budget:
            return local.charge("network", bucket)

        outcomes, expected = loop.run_until_complete(play(charge, bucket, clock, pauses))

        assert outcomes == expected

    compare()


def test_of_several_processes_each_gives_back_its_share_of_the_rate() -> None:
    clock = Clock()
    local, bucket = LocalRates(4, clock), Bucket.of("network", Rate(1, timedelta(seconds=1), 1))
    local.charge("network", bucket)

    with pytest.raises(TooManyRequests) as caught:
        local.charge("network", bucket)

    assert caught.value.seconds == 4


def test_a_process_keeps_no_more_than_so_many_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "_LOCAL_BUCKETS", 10)
    local, bucket = LocalRates(1), Bucket.of("network", Rate(1, timedelta(seconds=1), 1))

    for number in range(50):
        local.charge(f"network {number}", bucket)

    assert len(local._full_at) == 10


async def test_by_the_clock_of_redis_unless_told_another(
    loop: asyncio.AbstractEventLoop, redis: Pipeline
) -> None:
    rate = NetworkRate(redis, LocalRates(1), Bucket.of("network", Rate(1, timedelta(seconds=60), 1)))
    await rate.charge("own clock")

    with pytest.raises(TooManyRequests) as caught:
        await rate.charge("own clock")

    await redis.close()
    assert 55 <= caught.value.seconds <= 60


async def play(
    charge: Charge, bucket: Bucket, clock: Clock, pauses: Sequence[int]
) -> tuple[list[Outcome], list[Outcome]]:
    """Ask the real thing and the rule alike, with the same pauses."""
    model = TokenBucket(bucket, clock)
    outcomes, expected = [], []
    for pause in pauses:
        clock.now_us += pause
        outcomes.append(await outcome_of(charge))
        expected.append(model.take())
    return outcomes, expected


async def outcome_of(charge: Charge) -> Outcome:
    try:
        budget = await charge()
    except TooManyRequests as refusal:
        return False, 0, refusal.seconds
    assert budget is not None
    return True, budget.remaining, 0
