"""Multiply what one of each takes: what many sessions and many requests would need."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import login, rows, scale, units
from benchmarks.markdown import table
from benchmarks.report import found
from benchmarks.result import number

SESSIONS = (10**4, 10**6, 10**8)
REQUESTS = (10**2, 10**4, 10**6)

_REVOKED_EARLY = 10  # one of so many sessions
_SECONDS_OF_A_SESSION = 8 * 3600
_DAYS_OF_EVENTS = 400
_CORE_US = 1e6 * 0.7  # beyond seven tenths of a core, requests queue up


@dataclass(frozen=True, slots=True)
class Units:
    """What one of each takes; named as in the tables."""

    check_us: float
    login_us: float
    redis_us: float
    redis_commands: float
    redis_bytes: float
    database_bytes: float
    event_bytes: float
    commits: float
    revoked_bytes: float


def read_units(content: dict[str, Any]) -> Units:
    """Raise KeyError for what was not measured."""
    names = {result.name: result for group in content for result in found(content, group)}

    def cpu_us(name: str) -> float:
        cost = names[name].cpu_us
        assert cost is not None  # noqa: S101 - for the type checker
        return cost

    return Units(
        check_us=cpu_us(rows.WARM),
        login_us=cpu_us(login.SHIPPED),
        redis_us=names[units.REDIS_CPU].value,
        redis_commands=names[units.REDIS_COMMANDS].value,
        redis_bytes=names[units.REDIS_MEMORY].value,
        database_bytes=names[units.DATABASE_SIZE].value,
        event_bytes=names[units.EVENT_SIZE].value,
        commits=names[units.COMMITS].value,
        revoked_bytes=names[scale.WORKER_MEMORY].value * 1e6 / scale.REVOKED,
    )


def tables(one: Units) -> str:
    """Say what one of each takes, then what many take."""
    return "\n".join((_of_one(one), _of_sessions(one), _of_requests(one)))


def _of_one(one: Units) -> str:
    return table(
        ("one", "takes"),
        [
            ("token check, warm", f"{number(one.check_us)} µs of a worker's CPU"),
            ("", f"{number(one.redis_us)} µs of Redis's CPU, {number(one.redis_commands)} commands"),
            ("login at cost 12", f"{number(one.login_us / 1000)} ms of a worker's CPU"),
            ("", f"{number(one.commits)} transactions, {number(one.event_bytes)} bytes of events"),
            ("live session", f"{number(one.redis_bytes)} bytes in Redis"),
            ("", f"2 rows, {number(one.database_bytes)} bytes in PostgreSQL"),
            ("session revoked before its end", f"{number(one.revoked_bytes)} bytes in each worker"),
        ],
    )


def _of_sessions(one: Units) -> str:
    def row(name: str, of: Callable[[float], str]) -> Sequence[str]:
        return name, *(of(count) for count in SESSIONS)

    def logins(count: float) -> float:
        return count / _SECONDS_OF_A_SESSION

    return table(
        ("live sessions", *(f"{count:,}" for count in SESSIONS)),
        [
            row("Redis memory", lambda count: _bytes(count * one.redis_bytes)),
            row("rows of sessions and tokens", lambda count: f"{2 * count:,.0f}"),
            row("their size in PostgreSQL", lambda count: _bytes(count * one.database_bytes)),
            row("memory of each worker", lambda count: _bytes(count / _REVOKED_EARLY * one.revoked_bytes)),
            row("logins/s", lambda count: number(logins(count))),
            row("cores that hash for them", lambda count: _cores(logins(count) * one.login_us)),
            row("transactions/s", lambda count: number(logins(count) * one.commits)),
            row(
                "events of 400 days",
                lambda count: _bytes(logins(count) * 86400 * _DAYS_OF_EVENTS * one.event_bytes),
            ),
        ],
    )


def _of_requests(one: Units) -> str:
    def row(name: str, of: Callable[[float], str]) -> Sequence[str]:
        return name, *(of(rate) for rate in REQUESTS)

    return table(
        ("requests/s", *(f"{rate:,}" for rate in REQUESTS)),
        [
            row("cores of workers", lambda rate: _cores(rate * one.check_us)),
            row("cores of Redis", lambda rate: _cores(rate * one.redis_us)),
            row("commands/s in Redis", lambda rate: f"{rate * one.redis_commands:,.0f}"),
        ],
    )


def _cores(us_a_second: float) -> str:
    return f"{math.ceil(us_a_second / _CORE_US):,}"


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{number(count)} {unit}"
        count /= 1000
    return f"{number(count)} TB"
