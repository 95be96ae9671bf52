"""Measure what HASH_NICE gives to token checks and takes from logins, on a saturated core."""

from collections.abc import Sequence
from statistics import median

from benchmarks import markdown, site
from benchmarks.crowd import crowd
from benchmarks.measure import Plan
from benchmarks.result import Result, number
from benchmarks.saturate import COST, Requests, Saturated, requests_for, saturated
from benchmarks.servers import Server
from benchmarks.site import LIMITS_SET_HIGH

_NICENESSES = (0, 5, 10, 15, 19)
_PEOPLE = 8


def nice(plan: Plan) -> list[Result]:
    """Saturate a service with and without 8 logins in flight, at one niceness after the other."""
    with site.opened(BCRYPT_COST=str(COST), **LIMITS_SET_HIGH) as here:
        requests = site.run(requests_for(here, _PEOPLE))
        results: list[Result] = []
        for niceness in _NICENESSES:
            with here.service(HASH_NICE=str(niceness)) as service:
                results += _results(niceness, site.run(_turns(service, requests, plan)))
        return results


def table(results: Sequence[Result]) -> str:
    """Write what was found in pairs: the token checks, and what hashing got."""
    pairs = zip(_NICENESSES, results[::2], results[1::2], strict=True)
    return markdown.table(
        ("HASH_NICE", "token checks, of the calm rate", "hashing, of the core"),
        [(str(niceness), number(checks.value), number(hashing.value)) for niceness, checks, hashing in pairs],
    )


async def _turns(service: Server, requests: Requests, plan: Plan) -> list[tuple[Saturated, Saturated]]:
    """Take turns: calm, and while people log in."""
    turns: list[tuple[Saturated, Saturated]] = []
    for _ in range(plan.rounds):
        calm = await saturated(service, requests.checks, plan.seconds)
        async with crowd(service.port, requests.logins):
            turns.append((calm, await saturated(service, requests.checks, plan.seconds)))
    return turns


def _results(niceness: int, turns: Sequence[tuple[Saturated, Saturated]]) -> list[Result]:
    rates = tuple(stormy.rate / calm.rate for calm, stormy in turns)
    shares = tuple(stormy.hashing for _, stormy in turns)
    return [
        Result(f"HASH_NICE={niceness}: token checks", median(rates), "of the calm rate", rounds=rates),
        Result(f"HASH_NICE={niceness}: hashing", median(shares), "of the core", rounds=shares),
    ]
