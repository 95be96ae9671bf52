"""Measure what one session, one check and one login take of the stores: docs/sizing.md multiplies these."""

import asyncio
from collections.abc import Sequence
from itertools import cycle, islice

from benchmarks import load, rows, site
from benchmarks.login import postgres
from benchmarks.measure import CONNECTIONS, Plan
from benchmarks.result import Result
from benchmarks.seeding import PASSWORD, make_users, seed
from benchmarks.servers import Server
from benchmarks.site import LIMITS_SET_HIGH, Site
from benchmarks.weights import PostgresWeight, weigh_postgres, weigh_redis
from service import wiring

REDIS_MEMORY = "Redis memory of a session"
REDIS_COMMANDS = "Redis commands of a token check"
REDIS_CPU = "Redis CPU of a token check"
DATABASE_SIZE = "PostgreSQL size of a session, with its token and indexes"
EVENT_SIZE = "PostgreSQL size of a login's event"
COMMITS = "PostgreSQL transactions of a login"

_SESSIONS = 10_000
_CHECKS = 50_000
_LOGINS = 2000
_PATIENCE_SECONDS = 300.0
# PostgreSQL's processes say what they did once a second, when they have nothing to do.
_STATISTICS_SECONDS = 2.0


def units(_plan: Plan) -> list[Result]:
    """Weigh the stores before and after."""
    with site.opened() as here, here.service() as service:
        results = site.run(_checks(here, service))
    with postgres() as url:
        if url is not None:
            results += _logins(url)
    return results


async def _checks(here: Site, service: Server) -> list[Result]:
    empty = weigh_redis(here.settings)
    async with wiring.open_use_cases(here.settings) as use_cases:
        tokens = await seed(use_cases, _SESSIONS)
    filled = weigh_redis(here.settings)
    await _send(service, [rows.who_am_i(token) for token in tokens], _CHECKS)
    checked = weigh_redis(here.settings) - filled
    return [
        Result(REDIS_MEMORY, (filled - empty).memory / _SESSIONS, "bytes"),
        Result(REDIS_COMMANDS, checked.commands / _CHECKS, "commands"),
        Result(REDIS_CPU, checked.cpu_seconds / _CHECKS * 1e6, "µs of CPU"),
    ]


def _logins(url: str) -> list[Result]:
    with site.opened(DATABASE_URL=url, **LIMITS_SET_HIGH) as here, here.service() as service:
        logins = [rows.log_in(user, PASSWORD) for user in make_users(here, CONNECTIONS, cost=4)]
        weight = site.run(_log_in(url, service, logins))
    return [
        Result(COMMITS, weight.commits / _LOGINS, "commits"),
        Result(DATABASE_SIZE, weight.sessions / _LOGINS, "bytes"),
        Result(EVENT_SIZE, weight.events / _LOGINS, "bytes"),
    ]


async def _log_in(url: str, service: Server, logins: Sequence[bytes]) -> PostgresWeight:
    before = await weigh_postgres(url)
    await _send(service, logins, _LOGINS)
    await asyncio.sleep(_STATISTICS_SECONDS)
    return await weigh_postgres(url) - before


async def _send(service: Server, requests: Sequence[bytes], count: int) -> None:
    async with load.connected(service.port, CONNECTIONS) as connections:
        await connections.drive(islice(cycle(requests), count), _PATIENCE_SECONDS)
