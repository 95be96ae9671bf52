"""Attempts that wait for others do so in bounded numbers, and leave nothing behind."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from service.errors import Overloaded, RedisUnavailable, TooManyAttempts
from service.security.networks import Client
from service.settings import Limit
from service.stores import keys, login_guard
from service.stores.attempt_counters import (
    Count,
    Counter,
    Decision,
    Outcome,
    RedisCounters,
    Remembered,
)
from service.stores.local_counters import LocalCounters
from service.stores.login_guard import LoginGuard, LoginLimits, counters_of
from service.stores.pipeline import Pipeline

HOME = Client.at("203.0.113.7")
STALE_AFTER = timedelta(seconds=15)


class FullCounters:
    """Counters in which somebody else's attempts stay pending until a test settles them."""

    def __init__(self) -> None:
        self.full = True
        self.asked = 0

    async def reserve(self, attempt: str, counters: Sequence[Counter]) -> Decision:  # noqa: ARG002
        self.asked += 1
        await asyncio.sleep(0)
        return Decision("full" if self.full else "counted", timedelta(), 0, [Count(1, 1, timedelta())])

    async def forget(self, key: str) -> None:
        raise NotImplementedError

    async def take_over(self, counter: Counter, attempts: Sequence[Remembered]) -> None:
        raise NotImplementedError

    async def settle(self, attempt: str, at_ms: int, outcome: Outcome, counters: Sequence[Counter]) -> None:
        raise NotImplementedError


class SlowCounters(FullCounters):
    """Counters whose first answer is long in coming; who asks meanwhile is told that they are away."""

    def __init__(self) -> None:
        super().__init__()
        self.arrives = asyncio.Event()
        self.taken_over: list[str] = []

    async def reserve(self, attempt: str, counters: Sequence[Counter]) -> Decision:  # noqa: ARG002
        self.asked += 1
        if self.asked == 1:
            await self.arrives.wait()
        elif not self.arrives.is_set():
            raise RedisUnavailable
        return Decision("counted", timedelta(), 0, [Count(1, 1, timedelta())])

    async def take_over(self, counter: Counter, attempts: Sequence[Remembered]) -> None:  # noqa: ARG002
        self.taken_over.append(counter.key)


@pytest.fixture
def counters() -> FullCounters:
    return FullCounters()


@pytest.fixture
def guard(counters: FullCounters) -> LoginGuard:
    limits = LoginLimits(None, Limit(5, timedelta(minutes=1)), None)
    return LoginGuard(counters, LocalCounters(STALE_AFTER), limits, 1, patience=timedelta(seconds=1))


async def test_more_than_so_many_may_not_wait(
    guard: LoginGuard, counters: FullCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_guard, "_WAITING_AT_MOST", 10)
    waiting = asyncio.gather(*(reserve(guard) for _ in range(10)))
    await asyncio.sleep(0.01)

    with pytest.raises(Overloaded):
        await reserve(guard)

    counters.full = False
    await waiting
    await reserve(guard)


async def test_who_waits_too_long_is_told_to_come_back(guard: LoginGuard) -> None:
    results = await asyncio.gather(*(reserve(guard) for _ in range(20)), return_exceptions=True)

    assert {type(result) for result in results} == {Overloaded}


async def test_many_who_wait_for_different_things_do_not_ask_more_often_together(
    guard: LoginGuard, counters: FullCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_guard, "_TURNS_AT_FULL_PACE", 10)

    await asyncio.gather(*(reserve(guard, f"account {n}") for n in range(40)), return_exceptions=True)

    # Everybody once at first, a hundred a second from then on, and everybody once more at the end.
    assert counters.asked <= 40 + 1.4 * 100 + 40


async def test_a_cancelled_one_lets_the_next_have_its_turn(guard: LoginGuard, counters: FullCounters) -> None:
    first, second = asyncio.create_task(reserve(guard)), asyncio.create_task(reserve(guard))
    await asyncio.sleep(0.01)

    first.cancel()
    counters.full = False

    await asyncio.wait_for(second, 1)
    assert first.cancelled()


async def test_turns_are_forgotten_when_nobody_waits(guard: LoginGuard, counters: FullCounters) -> None:
    waiting = [asyncio.create_task(reserve(guard, f"account {n}")) for n in range(10)]
    await asyncio.sleep(0.01)
    assert len(guard._turns) == 10

    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)

    assert (len(guard._turns), guard._waiting) == (0, 0)


async def test_a_failure_is_counted_though_redis_is_full(own_redis: str) -> None:
    redis = Pipeline.connect(own_redis, timedelta(seconds=5))
    limits = LoginLimits(Limit(2, timedelta(minutes=1)), None, None)
    shared, local = RedisCounters(redis, STALE_AFTER), LocalCounters(STALE_AFTER)
    guard = LoginGuard(shared, local, limits, workers=1, patience=timedelta(0))
    reservation = await guard.reserve("causas", HOME, known=False)
    await redis.execute("CONFIG", "SET", "maxmemory", "1")

    await guard.settle(reservation, "failed")

    decision, _ = await guard.look("causas", HOME, known=False)
    await redis.close()
    assert (decision.counts[0].attempts, decision.counts[0].pending) == (1, 0)


async def test_a_failure_counts_and_ends_though_redis_was_flushed_in_mid_hash(own_redis: str) -> None:
    redis = Pipeline.connect(own_redis, timedelta(seconds=5))
    limits = LoginLimits(Limit(1, timedelta(minutes=1)), None, None)
    shared, local = RedisCounters(redis, STALE_AFTER), LocalCounters(STALE_AFTER)
    guard = LoginGuard(shared, local, limits, workers=1, patience=timedelta(0))
    reservation = await guard.reserve("causas", HOME, known=False)
    await redis.execute("FLUSHALL")

    await guard.settle(reservation, "failed")

    with pytest.raises(TooManyAttempts):
        await guard.reserve("causas", HOME, known=False)
    for key in await redis.execute("KEYS", "*"):
        assert 0 < await redis.execute("PTTL", key) <= 60_000
    await redis.close()


async def reserve(guard: LoginGuard, account: str = "causas") -> object:
    return await guard.reserve(account, HOME, known=False)


async def test_what_was_counted_without_redis_counts_when_it_is_back_and_empty(own_redis: str) -> None:
    redis = Pipeline.connect(own_redis, timedelta(seconds=5))
    limits = LoginLimits(Limit(5, timedelta(minutes=1)), None, None)
    shared, local = RedisCounters(redis, STALE_AFTER), LocalCounters(STALE_AFTER)
    guard = LoginGuard(shared, local, limits, workers=1, patience=timedelta(0))
    guard._alone = True
    counters = counters_of(limits, "causas", HOME, known=False)
    for attempt in ("one", "two"):
        decision = await local.reserve(attempt, counters)
        await local.settle(attempt, decision.at_ms, "failed", counters)

    first = await guard.reserve("causas", HOME, known=False)

    await redis.close()
    assert first.budget is not None
    assert first.budget.remaining == 2
    assert local.untold() == []


@pytest.mark.parametrize(("outcome", "counted"), [("succeeded", 0), ("refunded", 0), ("failed", 1)])
@pytest.mark.parametrize("meanwhile", [True, False])
async def test_an_attempt_that_redis_has_taken_over_is_settled_there(
    own_redis: str, outcome: Outcome, counted: int, meanwhile: bool
) -> None:
    redis = Pipeline.connect(own_redis, timedelta(seconds=5))
    limits = LoginLimits(Limit(5, timedelta(minutes=1)), None, None)
    shared, local = RedisCounters(redis, STALE_AFTER), LocalCounters(STALE_AFTER)
    guard = LoginGuard(shared, local, limits, workers=1, patience=timedelta(0))
    await redis.execute("REPLICAOF", "127.0.0.1", "1")
    reservation = await guard.reserve("causas", HOME, known=False)
    await redis.execute("REPLICAOF", "NO", "ONE")

    next_login = asyncio.create_task(guard.reserve("another", HOME, known=False))
    await (asyncio.sleep(0) if meanwhile else asyncio.wait({next_login}))
    await guard.settle(reservation, outcome)

    await next_login
    decision, _ = await guard.look("causas", HOME, known=False)
    await redis.close()
    assert reservation.where is local
    assert (decision.counts[0].attempts, decision.counts[0].pending) == (counted, 0)
    assert local.untold() == []


async def test_a_late_answer_of_redis_does_not_hide_what_was_counted_without_it() -> None:
    counters = SlowCounters()
    limits = LoginLimits(None, Limit(5, timedelta(minutes=1)), None)
    guard = LoginGuard(counters, LocalCounters(STALE_AFTER), limits, 1, patience=timedelta(seconds=1))
    late = asyncio.create_task(reserve(guard, "late"))
    await asyncio.sleep(0)
    await reserve(guard, "local")
    counters.arrives.set()
    await late

    await reserve(guard, "next")

    assert counters.taken_over == [keys.attempts_on_account("local")]


async def test_redis_that_comes_and_goes_does_not_hand_out_the_local_limit_each_time(own_redis: str) -> None:
    redis = Pipeline.connect(own_redis, timedelta(seconds=5))
    limits = LoginLimits(None, None, Limit(8, timedelta(minutes=1)))
    shared, local = RedisCounters(redis, STALE_AFTER), LocalCounters(STALE_AFTER)
    guard = LoginGuard(shared, local, limits, workers=1, patience=timedelta(0))
    looked_at = 0

    for _ in range(3):
        # Refuses writes, as a full one does.
        await redis.execute("REPLICAOF", "127.0.0.1", "1")
        looked_at += await guess_until_refused(guard)
        await redis.execute("REPLICAOF", "NO", "ONE")
        looked_at += await guess_until_refused(guard)

    await redis.close()
    # What one process may do alone (8 / 2), once; and what Redis, which took that over, had left of its 8.
    assert looked_at == 8


@pytest.mark.parametrize(("known", "refused"), [(True, False), (False, True)])
async def test_a_site_full_of_addresses_does_not_shut_out_a_known_network_of_it(
    own_redis: str, known: bool, refused: bool
) -> None:
    redis = Pipeline.connect(own_redis, timedelta(seconds=5))
    limits = LoginLimits(None, None, Limit(1, timedelta(minutes=1)))
    shared, local = RedisCounters(redis, STALE_AFTER), LocalCounters(STALE_AFTER)
    guard = LoginGuard(shared, local, limits, workers=1, patience=timedelta(0))
    for neighbour in range(4):
        await fail(guard, Client.at(f"2001:db8:1:{neighbour}::1"))

    ours = guard.reserve("causas", Client.at("2001:db8:1:ffff::1"), known=known)
    found = (await asyncio.gather(ours, return_exceptions=True))[0]

    await redis.close()
    assert isinstance(found, TooManyAttempts) == refused


async def test_attempts_that_are_pending_are_known_though_the_account_has_no_limit(own_redis: str) -> None:
    redis = Pipeline.connect(own_redis, timedelta(seconds=5))
    limits = LoginLimits(None, None, Limit(50, timedelta(minutes=1)))
    shared, local = RedisCounters(redis, STALE_AFTER), LocalCounters(STALE_AFTER)
    guard = LoginGuard(shared, local, limits, workers=1, patience=timedelta(0))

    pending = [(await guard.reserve("causas", HOME, known=False)).pending_on_account for _ in range(3)]

    await redis.close()
    assert pending == [1, 2, 3]


async def fail(guard: LoginGuard, client: Client) -> None:
    await guard.settle(await guard.reserve("causas", client, known=False), "failed")


async def guess_until_refused(guard: LoginGuard) -> int:
    for looked_at in range(100):
        try:
            await fail(guard, HOME)
        except TooManyAttempts:
            return looked_at
    raise AssertionError("There is no limit.")
