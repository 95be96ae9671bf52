"""Measure how logins are refused that could not start before their deadline."""

import asyncio
from collections.abc import Sequence
from statistics import median

from benchmarks import processes, rows, site
from benchmarks.crowd import crowd
from benchmarks.failure import BenchmarkFailure
from benchmarks.measure import Plan
from benchmarks.result import Result, at_most
from benchmarks.saturate import COST
from benchmarks.seeding import PASSWORD, make_users
from benchmarks.servers import Server
from benchmarks.site import LIMITS_SET_HIGH

REFUSAL_BOUND_MS = at_most(20)
MEMORY_BOUND = at_most(1.05)

_DEADLINE = "2s"  # shorter than what ships, to be full sooner
_PEOPLE = 64
_COME_AGAIN_SECONDS = 0.2
_WARM_UP_SECONDS = 10.0  # what a worker keeps to work with, it has taken by then


def overload(plan: Plan) -> list[Result]:
    """Time the refusals of 64 people who ask five times a second each."""
    changes = {"BCRYPT_COST": str(COST), "LOGIN_DEADLINE": _DEADLINE, **LIMITS_SET_HIGH}
    with site.opened(**changes) as here:
        logins = [rows.log_in(user, PASSWORD) for user in make_users(here, _PEOPLE, COST)]
        with here.service() as service:
            return site.run(_overload(service, logins, plan))


async def _overload(service: Server, logins: Sequence[bytes], plan: Plan) -> list[Result]:
    async with crowd(service.port, logins, impatience=_COME_AGAIN_SECONDS) as people:
        await asyncio.sleep(_WARM_UP_SECONDS)
        before, rounds = _memory(service), []
        for _ in range(plan.rounds):
            people.refusals.clear()
            await asyncio.sleep(plan.seconds)
            rounds.append(tuple(people.refusals))
        growth = _memory(service) / before
    if not all(rounds):
        raise BenchmarkFailure("Nobody was refused.")
    slowest = tuple(_of_a_hundred(99, each) * 1000 for each in rounds)
    rate = sum(map(len, rounds)) / plan.rounds / plan.seconds
    return [
        Result(
            "refused for overload: 99th percentile",
            median(slowest),
            "ms",
            REFUSAL_BOUND_MS,
            rate=rate,
            rounds=slowest,
        ),
        Result("memory after the refusals", growth, "of before", MEMORY_BOUND),
    ]


def _of_a_hundred(place: int, times: Sequence[float]) -> float:
    return sorted(times)[len(times) * place // 100]


def _memory(service: Server) -> int:
    return sum(processes.resident_bytes(pid) for pid in service.pids)
