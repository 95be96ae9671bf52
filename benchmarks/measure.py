"""Measure rows in turns, round by round, so that what slows the machine slows all of them."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks import load
from benchmarks.failure import BenchmarkFailure
from benchmarks.result import BUSY_ENOUGH, Bound, Result
from benchmarks.servers import Server

CONNECTIONS = 32

_WARM_UP_SECONDS = 1.0
_SPARE_ROUNDS_PER_ROUND = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to measure: requests to a server."""

    name: str
    server: Server
    requests: Callable[[], Iterable[bytes]]  # called anew for every round
    bound: Bound | None = None
    connections: int = CONNECTIONS


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    seconds: float  # of one round of one row

    @property
    def turns_at_most(self) -> int:
        """How often the requests of a row may be asked for: the warm-up, the rounds, the spare rounds."""
        return 1 + self.rounds * (1 + _SPARE_ROUNDS_PER_ROUND)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one round of one row came to."""

    rate: float  # answers per second
    cpu_us: float  # of the server, per answer
    busy: float  # the share of a core that the server used


async def measure(yardstick: Row, rows: Sequence[Row], plan: Plan) -> list[Result]:
    """Divide the CPU time that the yardstick took by that of each row; the yardstick comes first."""
    everything = (yardstick, *rows)
    samples = await turns(everything, plan)
    return [
        as_result(row, own, _shares(samples[0], own), f"of the {yardstick.name}")
        for row, own in zip(everything, samples, strict=True)
    ]


async def turns(rows: Sequence[Row], plan: Plan) -> list[list[Sample]]:
    """Take turns: the first row, the second, ..., the first again; return the samples of each row.

    A round in which some server was held up is made up for, up to a point; the busiest rounds count.
    """
    for row in rows:
        await _sample(row, min(_WARM_UP_SECONDS, plan.seconds))
    rounds: list[list[Sample]] = []
    while sum(map(_undisturbed, rounds)) < plan.rounds and len(rounds) < plan.turns_at_most - 1:
        rounds.append([await _sample(row, plan.seconds) for row in rows])
    rounds.sort(key=_least_busy, reverse=True)
    del rounds[plan.rounds :]
    return [list(samples) for samples in zip(*rounds, strict=True)]


def as_result(row: Row, samples: Sequence[Sample], values: Sequence[float], unit: str) -> Result:
    """Say the median of a row's values, one for each sample, and the medians of its samples."""
    return Result(
        name=row.name,
        value=median(values),
        unit=unit,
        bound=row.bound,
        rate=median(sample.rate for sample in samples),
        cpu_us=median(sample.cpu_us for sample in samples),
        busy=median(sample.busy for sample in samples),
        rounds=tuple(values),
    )


def _shares(base: Sequence[Sample], samples: Sequence[Sample]) -> list[float]:
    return [one.cpu_us / other.cpu_us for one, other in zip(base, samples, strict=True)]


def _undisturbed(samples: Sequence[Sample]) -> bool:
    return _least_busy(samples) >= BUSY_ENOUGH


def _least_busy(samples: Sequence[Sample]) -> float:
    return min(sample.busy for sample in samples)


async def _sample(row: Row, seconds: float) -> Sample:
    requests = row.requests()
    async with load.connected(row.server.port, row.connections) as connections:
        cpu_before, before = row.server.cpu_seconds(), time.perf_counter()
        answers = await connections.drive(requests, seconds)
        wall, cpu = time.perf_counter() - before, row.server.cpu_seconds() - cpu_before
    if answers <= row.connections:
        raise BenchmarkFailure(f"Too few answers to measure anything: {row.name}.")
    return Sample(rate=answers / wall, cpu_us=cpu / answers * 1e6, busy=cpu / wall)
