"""Measure whether a token check costs the same with more workers, more sessions, more that is revoked."""

import re
from collections.abc import Awaitable, Callable, Sequence

from benchmarks import rows, site
from benchmarks.measure import CONNECTIONS, Plan, Row, as_result, turns
from benchmarks.processes import resident_bytes
from benchmarks.result import Result, at_most
from benchmarks.seeding import open_sessions, seed
from benchmarks.site import Site
from benchmarks.weights import weigh_redis
from service import wiring
from service.use_cases.choose_sessions import Selection
from service.wiring import UseCases

WORKERS_BOUND = at_most(1.11)
FLAT_BOUND = at_most(1.05)

# Enough for the kernel to give each about as many.
_CONNECTIONS_OF_TWO = 2 * CONNECTIONS
_SESSIONS = 1000
_MANY_SESSIONS = 1_000_000
REVOKED = 100_000
WORKER_MEMORY = f"{REVOKED:,} revoked sessions: memory of a worker"
_EVERY_AGENT = re.compile("")

Prepare = Callable[[UseCases], Awaitable[object]]


def two_workers(plan: Plan) -> list[Result]:
    """Compare two workers with one, on the same stores."""
    with site.opened() as here, here.service() as one, here.service(WEB_CONCURRENCY="2") as two:
        tokens = site.run(_tokens(here))
        alone = rows.warm(one, tokens, connections=_CONNECTIONS_OF_TWO)
        shared = rows.warm(two, tokens, WORKERS_BOUND, "token check, 2 workers", _CONNECTIONS_OF_TWO)
        return site.run(_compared(plan, alone, shared, "one"))


def revoked(plan: Plan) -> list[Result]:
    """Compare a service that has 100,000 revoked sessions to remember with one that has none."""
    return _beside_an_empty_one(plan, _revoke_many, f"{REVOKED:,} revoked sessions", "none")


def million(plan: Plan) -> list[Result]:
    """Compare a service of 1,000,000 live sessions with one of 1,000."""
    return _beside_an_empty_one(plan, _open_many, f"{_MANY_SESSIONS:,} live sessions", f"{_SESSIONS:,}")


def _beside_an_empty_one(plan: Plan, prepare: Prepare, name: str, beside: str) -> list[Result]:
    with site.opened() as little, site.opened() as much:
        few, many = site.run(_tokens(little)), site.run(_tokens(much, prepare))
        memory = weigh_redis(much.settings).memory - weigh_redis(little.settings).memory
        with little.service() as idle, much.service() as busy:
            more = sum(map(resident_bytes, busy.pids)) - sum(map(resident_bytes, idle.pids))
            return [
                *site.run(
                    _compared(
                        plan,
                        rows.warm(idle, few),
                        rows.warm(busy, many, FLAT_BOUND, f"token check, {name}"),
                        beside,
                    )
                ),
                Result(f"{name}: Redis memory", memory / 1e6, "MB more"),
                Result(f"{name}: memory of a worker", more / 1e6, "MB more"),
            ]


async def _tokens(here: Site, prepare: Prepare | None = None) -> Sequence[str]:
    """Prepare the stores, and open the sessions that are asked for."""
    async with wiring.open_use_cases(here.settings) as use_cases:
        if prepare is not None:
            await prepare(use_cases)
        return await seed(use_cases, _SESSIONS)


async def _open_many(use_cases: UseCases) -> None:
    async for _ in open_sessions(use_cases, _MANY_SESSIONS - _SESSIONS):
        pass


async def _revoke_many(use_cases: UseCases) -> None:
    async for _ in open_sessions(use_cases, REVOKED):
        pass
    # Not as all that a user has: that would be one raised version.
    await use_cases.revoke(Selection(agent=_EVERY_AGENT), by="benchmark")


async def _compared(
    plan: Plan,
    usual: Row,
    row: Row,
    beside: str,
) -> list[Result]:
    """Divide the CPU time of the other by that of the usual one."""
    base, samples = await turns([usual, row], plan)
    ratios = [mine.cpu_us / its.cpu_us for its, mine in zip(base, samples, strict=True)]
    return [as_result(row, samples, ratios, f"of the CPU with {beside}")]
