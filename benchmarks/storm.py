"""Measure token checks while people log in, beside the same checks when nobody does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import median

from benchmarks import site
from benchmarks.crowd import crowd
from benchmarks.measure import CONNECTIONS, Plan
from benchmarks.paced import Paced, paced
from benchmarks.result import Bound, Result, at_least, at_most
from benchmarks.saturate import COST, Requests, Saturated, requests_for, saturated
from benchmarks.servers import Server
from benchmarks.site import LIMITS_SET_HIGH, Site

CALM = "of the calm rate"
HALF_BOUND, P99_BOUND = at_least(0.95), at_most(1.5)
SATURATED_BOUND, HASHING_BOUND = at_least(0.85), at_least(0.08)

_CROWDS = (8, 64)


@dataclass(frozen=True, slots=True)
class Weather:
    """Token checks at half the capacity and at all of it."""

    half: Paced
    full: Saturated


@dataclass(frozen=True, slots=True)
class Turn:
    """The one right after the other."""

    calm: Weather
    stormy: Weather


def storm(plan: Plan) -> list[Result]:
    """Measure with 8 logins in flight at all times and with 64, each right after a calm."""
    with site.opened(BCRYPT_COST=str(COST), **LIMITS_SET_HIGH) as here, here.service() as service:
        turns = site.run(_turns(here, service, plan))
    return [
        _calm([turn for each in turns.values() for turn in each]),
        *(result for people, each in turns.items() for result in _results(people, each)),
    ]


async def _turns(here: Site, service: Server, plan: Plan) -> dict[int, list[Turn]]:
    """Take turns of each size of crowd."""
    requests = await requests_for(here, max(_CROWDS))
    capacity = (await saturated(service, requests.checks, plan.seconds)).rate
    turns: dict[int, list[Turn]] = {people: [] for people in _CROWDS}
    for _ in range(plan.rounds):
        for people, each in turns.items():
            calm = await _weather(service, requests, capacity / 2, plan.seconds)
            async with crowd(service.port, requests.logins[:people]):
                each.append(Turn(calm, await _weather(service, requests, capacity / 2, plan.seconds)))
    return turns


async def _weather(service: Server, requests: Requests, rate: float, seconds: float) -> Weather:
    half = await paced(service.port, cycle(requests.checks), rate, seconds, CONNECTIONS)
    return Weather(half, await saturated(service, requests.checks, seconds))


def _calm(turns: Sequence[Turn]) -> Result:
    times = tuple(turn.calm.half.p99_ms for turn in turns)
    rate = median(turn.calm.half.rate for turn in turns)
    return Result(
        "nobody logs in, half the capacity: 99th percentile", median(times), "ms", rate=rate, rounds=times
    )


def _results(people: int, turns: Sequence[Turn]) -> list[Result]:
    def compared(what: str, unit: str, bound: Bound, of: Callable[[Weather], float]) -> Result:
        values = tuple(of(turn.stormy) / of(turn.calm) for turn in turns)
        return Result(f"{people} logins in flight, {what}", median(values), unit, bound, rounds=values)

    hashing = tuple(turn.stormy.full.hashing for turn in turns)
    return [
        compared("half the capacity", CALM, HALF_BOUND, lambda weather: weather.half.rate),
        compared(
            "half the capacity: 99th percentile",
            "of the calm time",
            P99_BOUND,
            lambda weather: weather.half.p99_ms,
        ),
        compared("saturated", CALM, SATURATED_BOUND, lambda weather: weather.full.rate),
        Result(
            f"{people} logins in flight, saturated: hashing",
            median(hashing),
            "of the core",
            HASHING_BOUND,
            busy=median(turn.stormy.full.busy for turn in turns),
            rounds=hashing,
        ),
    ]
