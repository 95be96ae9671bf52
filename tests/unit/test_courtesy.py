"""The loop steps aside for a hash that has not had its share, and for no other."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import bcrypt
import pytest

from service.security.courtesy import Courtesy, share_of
from service.security.hashing_pool import HashingPool

SALT = bcrypt.gensalt(8)
_PATIENCE = timedelta(seconds=10)
_TRY_SECONDS = 0.7
TRIES = 8
HASHING_SECONDS = 0.5

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux keeps a niceness and a clock per thread"
)


@pytest.mark.parametrize(("nice", "share"), [(0, 1 / 2), (10, 110 / (1024 + 110)), (19, 15 / (1024 + 15))])
def test_the_shares_are_those_of_the_kernel(nice: int, share: float) -> None:
    assert share_of(nice) == pytest.approx(share, rel=0.04)


class Thread:
    """A thread that falls short of its share as a test wants it to; the last look finds no hash."""

    def __init__(self, over: Callable[[], None], *shortfalls: float) -> None:
        self._over = over
        self._shortfalls = list(shortfalls)

    def fell_short_by(self, _share: float) -> float:
        shortfall = self._shortfalls.pop(0)
        if not self._shortfalls:
            self._over()
        return shortfall


@pytest.mark.parametrize(
    ("shortfalls", "pauses"),
    [
        ([0.0, 0.0], []),
        ([0.0004, 0.0004], [0.0008]),
        ([-1.0, 0.001], [0.001]),
        ([0.001, -0.001, 0.0004], [0.001]),
        ([0.5, 0.5], [0.002, 0.002]),
    ],
    ids=["has its share", "small debts add up", "no credit", "paid back", "others have the core"],
)
async def test_a_pause_is_what_is_owed(
    monkeypatch: pytest.MonkeyPatch, shortfalls: list[float], pauses: list[float]
) -> None:
    slept: list[float] = []
    over = asyncio.Event()
    monkeypatch.setattr(time, "sleep", slept.append)
    polite = Courtesy(share=0.1, wanted=lambda: not over.is_set())
    polite._thread = Thread(over.set, *shortfalls)  # type: ignore[assignment]

    polite.look_on(asyncio.get_running_loop())
    await over.wait()

    assert slept == pytest.approx(pauses)


@linux
@pytest.mark.parametrize("nice", [0, 10])
async def test_for_a_hash_that_never_runs_the_loop_pauses_for_its_share_and_at_most_twice_that(
    monkeypatch: pytest.MonkeyPatch, nice: int
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    pool, gate = HashingPool(nice=nice, deadline=timedelta(seconds=10)), threading.Event()

    hashing = asyncio.create_task(pool.run(gate.wait))
    began = time.monotonic()
    await asyncio.sleep(1)
    took = time.monotonic() - began
    gate.set()
    await hashing
    pool.close()

    # Less than the share where the machine had no time to look.
    assert share_of(nice) / 3 < sum(slept) / took < 2.1 * share_of(nice)


@linux
async def test_for_a_hash_that_runs_the_loop_never_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    pool = HashingPool(nice=10, deadline=timedelta(seconds=10))

    ran = await pool.run(some_hashes)
    pool.close()

    # Were others on the core, it had less than all of it: twice its share of that, at most.
    assert sum(slept) < 0.02 + 2 * share_of(10) * (1 - ran) * HASHING_SECONDS


def some_hashes() -> float:
    """Return the share of the time for which the thread had a core."""
    salt = bcrypt.gensalt(8)
    began, ran = time.monotonic(), time.thread_time()
    while time.monotonic() < began + HASHING_SECONDS:
        bcrypt.hashpw(b"x", salt)
    return (time.thread_time() - ran) / (time.monotonic() - began)
