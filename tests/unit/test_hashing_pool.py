"""The thread that hashes: who gets a place in its queue, and what it leaves alone."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest

from service.errors import Overloaded
from service.security import hashing_pool
from service.security.hashing_pool import HashingPool

_PATIENCE_SECONDS = 5.0
NICE = 19


@contextmanager
def opened(*, deadline: timedelta = timedelta(seconds=10), nice: int = NICE) -> Iterator[HashingPool]:
    pool = HashingPool(nice=nice, deadline=deadline)
    try:
        yield pool
    finally:
        pool.close()


class Hash:
    """A computation that takes exactly as long as a test wants it to."""

    def __init__(self) -> None:
        self.begun, self.may_end, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.may_end.wait(_PATIENCE_SECONDS)
        self.ended.set()
        return "hash"


@pytest.fixture
def three_seconds_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every hash take three seconds, by the pool's clock, which stands still for everybody else."""
    ticks = iter(range(0, 1000, 3))
    on_the_loop = threading.get_ident()

    def monotonic() -> int:
        return 1000 if threading.get_ident() == on_the_loop else next(ticks)

    monkeypatch.setattr(hashing_pool, "time", SimpleNamespace(monotonic=monotonic))


async def test_a_hash_returns_what_it_computed_from_its_arguments() -> None:
    with opened() as pool:
        assert await pool.run(divmod, 17, 5) == (3, 2)


async def test_the_error_of_a_hash_is_its_callers() -> None:
    with opened() as pool, pytest.raises(ZeroDivisionError):
        await pool.run(divmod, 17, 0)


async def test_the_event_loop_turns_while_a_hash_is_computed() -> None:
    with opened() as pool:
        slow = Hash()
        running = asyncio.create_task(pool.run(slow))

        while not slow.begun.is_set():  # noqa: ASYNC110 - the event is a thread's
            await asyncio.sleep(0.001)
        slow.may_end.set()

        assert await running == "hash"


async def test_hashes_are_computed_one_after_the_other_on_one_other_thread() -> None:
    with opened() as pool:
        threads = await asyncio.gather(*(pool.run(threading.get_ident) for _ in range(5)))

    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a niceness per thread")
async def test_the_thread_has_the_least_priority_whatever_its_share_and_the_event_loop_has_its_own() -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    with opened(nice=10) as pool:
        nice = await pool.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    assert nice == 19
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


async def test_before_the_first_hash_everybody_is_admitted() -> None:
    with opened(deadline=timedelta(milliseconds=1)) as pool:
        pool.admit()


@pytest.mark.usefixtures("three_seconds_each")
@pytest.mark.parametrize("queued", [0, 1, 3])
async def test_a_hash_that_will_begin_before_the_deadline_is_admitted(queued: int) -> None:
    with opened(deadline=timedelta(seconds=10)) as pool:
        await pool.run(int)

        async with queue(pool, queued):
            pool.admit()


@pytest.mark.usefixtures("three_seconds_each")
@pytest.mark.parametrize(("queued", "seconds"), [(4, 2), (5, 5), (10, 20)])
async def test_a_hash_that_would_begin_too_late_is_refused_until_the_queue_is_short_enough(
    queued: int, seconds: int
) -> None:
    with opened(deadline=timedelta(seconds=10)) as pool:
        await pool.run(int)

        async with queue(pool, queued):
            with pytest.raises(Overloaded) as caught:
                pool.admit()

        assert caught.value.headers == {"Retry-After": str(seconds)}
        pool.admit()


async def test_a_hash_that_could_not_begin_before_the_deadline_is_not_computed() -> None:
    with opened(deadline=timedelta(milliseconds=500)) as pool:
        slow, late = Hash(), Hash()
        running, waiting = asyncio.create_task(pool.run(slow)), asyncio.create_task(pool.run(late))
        await asyncio.sleep(0.55)

        slow.may_end.set()

        assert await running == "hash"
        with pytest.raises(Overloaded):
            await waiting
        assert not late.begun.is_set()


async def test_what_was_waited_for_before_is_part_of_the_deadline() -> None:
    with opened(deadline=timedelta(milliseconds=1)) as pool:
        begin_by, hash_ = pool.admit(), Hash()
        await asyncio.sleep(0.01)

        with pytest.raises(Overloaded):
            pool.admit(begin_by)
        with pytest.raises(Overloaded):
            await pool.run_by(begin_by, hash_)

    assert not hash_.begun.is_set()


@pytest.mark.usefixtures("three_seconds_each")
async def test_a_refusal_never_says_to_come_back_at_once() -> None:
    with opened(deadline=timedelta(seconds=2.9)) as pool:
        await pool.run(int)

        async with queue(pool, 1):
            with pytest.raises(Overloaded) as caught:
                pool.admit()

    assert caught.value.headers == {"Retry-After": "1"}


async def test_a_hash_once_begun_ends_though_its_caller_has_gone() -> None:
    with opened() as pool:
        slow = Hash()
        running = asyncio.create_task(pool.run(slow))
        await asyncio.to_thread(slow.begun.wait, _PATIENCE_SECONDS)

        running.cancel()
        slow.may_end.set()

        with pytest.raises(asyncio.CancelledError):
            await running
        assert await pool.run(slow.ended.is_set)


async def test_closing_waits_for_the_hash_that_runs_and_drops_those_that_wait() -> None:
    pool = HashingPool(nice=NICE, deadline=timedelta(seconds=10))
    slow, never = Hash(), Hash()
    running, waiting = asyncio.create_task(pool.run(slow)), asyncio.create_task(pool.run(never))
    await asyncio.to_thread(slow.begun.wait, _PATIENCE_SECONDS)

    closing = asyncio.create_task(asyncio.to_thread(pool.close))
    with pytest.raises(asyncio.CancelledError):
        await waiting
    slow.may_end.set()
    await closing

    assert await running == "hash"
    assert not never.begun.is_set()


async def test_a_closed_pool_takes_no_more() -> None:
    with opened() as pool:
        pass

    with pytest.raises(RuntimeError):
        await pool.run(int)


@asynccontextmanager
async def queue(pool: HashingPool, length: int) -> AsyncIterator[None]:
    """Keep so many hashes in the pool, one of them running, until the block ends."""
    hashes = [Hash() for _ in range(length)]
    tasks = [asyncio.create_task(pool.run(each)) for each in hashes]
    await asyncio.sleep(0)
    try:
        yield
    finally:
        for each in hashes:
            each.may_end.set()
        await asyncio.gather(*tasks)
