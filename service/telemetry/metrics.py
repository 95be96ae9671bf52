"""Count what happens, in memory that all workers share.

One row of numbers per worker, mapped before the workers are forked: a count costs an addition and no lock,
and any worker can tell the sum of all. A worker that dies leaves its row to its successor.
"""

import mmap
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

from service.settings import WORKERS_MAX

P = ParamSpec("P")
R = TypeVar("R")

# As many as WEB_CONCURRENCY allows, one for a worker on its way out, and one for a process that is no worker.
ROWS = WORKERS_MAX + 2
_CELLS = 256
_memory = memoryview(mmap.mmap(-1, ROWS * _CELLS * 8)).cast("d")
_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Sample(NamedTuple):
    suffix: str
    labels: str
    value: float


class _Metric(NamedTuple):
    name: str
    kind: str
    help: str
    samples: Callable[[], Iterable[_Sample]]


class _Registry:
    """Hands out cells, and knows which row is this process's."""

    def __init__(self) -> None:
        self.row = _memory[:_CELLS]
        self.metrics: list[_Metric] = []
        self.gauges: list[int] = []
        self._next = 0

    def cells(self, count: int) -> int:
        first, self._next = self._next, self._next + count
        if self._next > _CELLS:
            raise AssertionError("more metrics than cells")
        return first

    def column(self, cell: int) -> "memoryview[float]":
        return _memory[cell::_CELLS]


_registry = _Registry()


class Counter:
    """Something that only ever rises, by the values of one label, all of them known beforehand."""

    def __init__(self, name: str, help: str, label: str = "", values: Sequence[str] = ("",)) -> None:  # noqa: A002
        first = _registry.cells(len(values))
        self._label = label
        self._cells = {value: first + number for number, value in enumerate(values)}
        _registry.metrics.append(_Metric(name, "counter", help, self._samples))

    def count(self, value: str = "", by: int = 1) -> None:
        _registry.row[self._cells[value]] += by

    def _samples(self) -> Iterator[_Sample]:
        for value, cell in self._cells.items():
            labels = f'{{{self._label}="{value}"}}' if self._label else ""
            yield _Sample("", labels, sum(_registry.column(cell)))


class Gauge:
    """Something that rises and falls in every worker; told is the sum, or what `over` makes of them."""

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002
        over: Callable[[Iterable[float]], float] = sum,
    ) -> None:
        self._cell = _registry.cells(1)
        self._over = over
        _registry.gauges.append(self._cell)
        _registry.metrics.append(_Metric(name, "gauge", help, self._samples))

    def set(self, value: float) -> None:
        _registry.row[self._cell] = value

    def change(self, by: float) -> None:
        _registry.row[self._cell] += by

    def _samples(self) -> Iterator[_Sample]:
        yield _Sample("", "", self._over(_registry.column(self._cell)))


class Histogram:
    """How long something took, in seconds."""

    def __init__(self, name: str, help: str) -> None:  # noqa: A002
        self._first = _registry.cells(len(_LATENCIES) + 2)
        self._sum = self._first + len(_LATENCIES) + 1
        _registry.metrics.append(_Metric(name, "histogram", help, self._samples))

    def observe(self, seconds: float) -> None:
        row = _registry.row
        row[self._first + bisect_left(_LATENCIES, seconds)] += 1
        row[self._sum] += seconds

    def around(self, function: Callable[P, Awaitable[R]]) -> "Callable[P, Coroutine[Any, Any, R]]":
        """Decorate a coroutine function: observe how long each call takes, however it ends."""

        @wraps(function)
        async def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            began = time.perf_counter()
            try:
                return await function(*args, **kwargs)
            finally:
                self.observe(time.perf_counter() - began)

        return timed

    def _samples(self) -> Iterator[_Sample]:
        total = 0.0
        for number, bound in enumerate((*map(str, _LATENCIES), "+Inf")):
            total += sum(_registry.column(self._first + number))
            yield _Sample("_bucket", f'{{le="{bound}"}}', total)
        yield _Sample("_sum", "", sum(_registry.column(self._sum)))
        yield _Sample("_count", "", total)


def use_row(number: int) -> None:
    """Count in this row from now on: what a worker says right after it was forked; rows begin at 1."""
    if not 0 < number < ROWS:
        raise AssertionError(f"no row {number}")
    leave_row(number)
    _registry.row = _memory[number * _CELLS : (number + 1) * _CELLS]


def leave_row(number: int) -> None:
    """Say that the worker of a row has ended: what it counted stays, how it stood does not."""
    for cell in _registry.gauges:
        _memory[number * _CELLS + cell] = 0


def exposition() -> str:
    """Write everything in Prometheus' text format, summed over the workers.

    https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    lines = []
    for metric in _registry.metrics:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        lines += [f"{metric.name}{s.suffix}{s.labels} {s.value:.17g}" for s in metric.samples()]
    return "\n".join([*lines, ""])


def _oldest_age(times: Iterable[float]) -> float:
    """Turn moments of the monotonic clock, which is the same in every process, into the age of the oldest."""
    told = [at for at in times if at]
    return time.monotonic() - min(told) if told else 0.0


REQUESTS = Counter(
    "backoffice_requests_total",
    "Answers by the class of their status; 500, which is a bug, and 503 by themselves.",
    "status",
    ("2xx", "3xx", "4xx", "500", "503"),
)
LOGINS = Counter(
    "backoffice_logins_total",
    "Login attempts by how they ended.",
    "outcome",
    ("ok", "refused", "blocked", "overloaded", "unavailable"),
)
LOGIN_SECONDS = Histogram("backoffice_login_seconds", "Time of a login, its hash and all waiting included.")
FAILED_ATTEMPTS = Counter(
    "backoffice_failed_attempts_total",
    "Failed attempts on all accounts, changes of password included, by whether they were written down.",
    "written",
    ("yes", "no"),
)
BLOCKS = Counter("backoffice_blocks_total", "Blocks of accounts that began.")
CHECKS = Counter(
    "backoffice_checks_total",
    "Answers that checks of sessions got, by who gave them: a check may take several.",
    "source",
    ("redis", "database", "revoked_list"),
)
SIGNATURES = Counter(
    "backoffice_signatures_checked_total", "Signatures of tokens that were not remembered from before."
)
REVOCATIONS = Counter(
    "backoffice_revocations_total",
    "Ends of sessions by what made them known everywhere.",
    "by",
    ("redis", "time"),
)
LOST = Counter("backoffice_store_lost_total", "How often a store was lost.", "store", ("redis", "database"))
REDIS_DOWN = Gauge("backoffice_redis_down", "Workers that cannot reach Redis, or a node of the Cluster, now.")
DATABASE_DOWN = Gauge("backoffice_database_down", "Workers that cannot reach the database now.")
LIMITS_LOCAL = Gauge("backoffice_login_limits_local", "Workers that count login attempts by themselves now.")
REDIS_SECONDS = Histogram("backoffice_redis_seconds", "Time of a batch of commands to Redis.")
DATABASE_SECONDS = Histogram("backoffice_database_seconds", "Time of a query or transaction.")
HASHES_WAITING = Gauge("backoffice_hashes_waiting", "Passwords waiting for their hash, or being hashed.")
HASH_WAIT_SECONDS = Histogram("backoffice_hash_wait_seconds", "Time a password waited before its hash began.")
EVENTS_DROPPED = Counter(
    "backoffice_events_dropped_total",
    "Security events that the log alone has, since the database was away.",
)
REVOKED_ENTRIES = Gauge(
    "backoffice_revoked_list_entries", "Entries in the longest list of what is revoked.", max
)
REVOKED_READ_AT = Gauge(
    "backoffice_revoked_list_age_seconds", "Age of the oldest list of what is revoked.", _oldest_age
)

_DOWN = {"redis": REDIS_DOWN, "database": DATABASE_DOWN}


def lost(store: str) -> None:
    """Note that a store, or one of its nodes, does not answer any more."""
    LOST.count(store)
    _DOWN[store].change(1)


def back(store: str) -> None:
    """Note that it answers again, or that nobody here asks it any more."""
    _DOWN[store].change(-1)
