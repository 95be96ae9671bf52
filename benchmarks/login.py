"""Measure what a login costs: with the hash at what ships, and without it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from statistics import median

from benchmarks import load, rows, site
from benchmarks.failure import BenchmarkFailure
from benchmarks.hashes import Hashes, hashes
from benchmarks.measure import Plan
from benchmarks.result import Bound, Result, at_least, at_most
from benchmarks.seeding import PASSWORD, make_users
from benchmarks.servers import Server
from benchmarks.site import LIMITS_SET_HIGH, Site
from tests.stores_in_use import postgres_database, wanted

SHIPPED = "logins at cost 12"
RATE_BOUND = at_least(0.97)
# On PostgreSQL: what SQLite does, it does in the process of the service.
WITHOUT_HASH_US = 600
# The promise is missed. What is held meanwhile is a multiple of what the round trips alone take beside it.
_TIMES_BARE = 1.8

_AT_ONCE = 8
_COST_SHIPPED, _COST_LEAST = 12, 4


@dataclass(frozen=True, slots=True)
class Turn:
    """Logins, and right after them the same hash alone on the same core."""

    rate: float
    cpu_us: float
    alone: Hashes

    @property
    def share(self) -> float:
        return self.rate / self.alone.rate

    @property
    def without_hash_us(self) -> float:
        return self.cpu_us - self.alone.cpu_us


def logins(plan: Plan) -> list[Result]:
    """Log in on embedded stores, at the least cost and at the one that ships."""
    # Stores of their own: a login at another cost would renew the hash first.
    cheap, shipped = (_turns_on_embedded_stores(cost, plan) for cost in (_COST_LEAST, _COST_SHIPPED))
    return [_without_hash("login without the hash, SQLite", cheap), _rate(shipped)]


def logins_on_postgres(plan: Plan) -> list[Result]:
    """Log in on PostgreSQL, where there is one, beside a server that only makes the round trips."""
    with postgres() as url:
        if url is None:
            return []
        with (
            site.opened(DATABASE_URL=url, **LIMITS_SET_HIGH) as here,
            here.bare_login() as bare,
            here.service(BCRYPT_COST=str(_COST_LEAST)) as service,
        ):
            bare_turns, turns = _turns(here, _COST_LEAST, plan, bare, service)
    return [
        _without_hash("a login's round trips alone, PostgreSQL", bare_turns),
        _without_hash("login without the hash, PostgreSQL", turns, without_hash_bound(bare_turns)),
    ]


def without_hash_bound(bare: Sequence[Turn]) -> Bound:
    """Hold the service to a multiple of the round trips alone, as long as the promise is missed."""
    meanwhile = _TIMES_BARE * median(turn.without_hash_us for turn in bare)
    return at_most(WITHOUT_HASH_US, meanwhile=max(WITHOUT_HASH_US, meanwhile))


@contextmanager
def postgres() -> Iterator[str | None]:
    """Make a database on the server that the tests would take; None, with a word, if there is none."""
    server, _ = wanted()
    if server is None or not server.startswith("postgres"):
        print("No PostgreSQL: TEST_STORES=auto or TEST_DATABASE_URL names one.")
        yield None
        return
    with postgres_database(server) as url:
        yield url


def _turns_on_embedded_stores(cost: int, plan: Plan) -> list[Turn]:
    with site.opened(**LIMITS_SET_HIGH) as here, here.service(BCRYPT_COST=str(cost)) as service:
        (turns,) = _turns(here, cost, plan, service)
    return turns


def _turns(here: Site, cost: int, plan: Plan, *servers: Server) -> list[list[Turn]]:
    """Have the servers take turns; return those of each."""
    requests = [rows.log_in(user, PASSWORD) for user in make_users(here, _AT_ONCE, cost)]
    for server in servers:
        site.run(_drive(server, requests, plan.seconds))
    rounds = [
        [_turn(here, server, requests, cost, plan.seconds) for server in servers] for _ in range(plan.rounds)
    ]
    return [list(turns) for turns in zip(*rounds, strict=True)]


def _turn(here: Site, server: Server, requests: list[bytes], cost: int, seconds: float) -> Turn:
    cpu_before, before = server.cpu_seconds(), time.perf_counter()
    answers = site.run(_drive(server, requests, seconds))
    wall, cpu = time.perf_counter() - before, server.cpu_seconds() - cpu_before
    return Turn(answers / wall, cpu / answers * 1e6, hashes(here.core, cost, seconds))


async def _drive(server: Server, requests: list[bytes], seconds: float) -> int:
    async with load.connected(server.port, _AT_ONCE) as connections:
        answers = await connections.drive(cycle(requests), seconds)
    if answers < _AT_ONCE:
        raise BenchmarkFailure("Too few logins to measure anything.")
    return answers


def _rate(turns: list[Turn]) -> Result:
    return _result(SHIPPED, [turn.share for turn in turns], "of the machine's own bcrypt", turns, RATE_BOUND)


def _without_hash(name: str, turns: list[Turn], bound: Bound | None = None) -> Result:
    return _result(name, [turn.without_hash_us for turn in turns], "µs of CPU", turns, bound)


def _result(name: str, values: list[float], unit: str, turns: list[Turn], bound: Bound | None) -> Result:
    return Result(
        name=name,
        value=median(values),
        unit=unit,
        bound=bound,
        rate=median(turn.rate for turn in turns),
        cpu_us=median(turn.cpu_us for turn in turns),
        rounds=tuple(values),
    )
