"""The list of what is measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import checks, login, nice, overload, scale, storm, units
from benchmarks.measure import Plan
from benchmarks.result import Result


@dataclass(frozen=True, slots=True)
class Group:
    """What is measured together, beside the yardstick it is compared with."""

    name: str
    title: str
    measure: Callable[[Plan], Sequence[Result]]
    always: bool = True  # else only by --full, or by its name


GROUPS = (
    Group("checks", "Token checks, beside an empty handler", checks.token_checks),
    Group("redis-down", "Token checks without Redis", checks.redis_down),
    Group("logins", "Logins, on embedded stores", login.logins),
    Group("postgres", "Logins, on PostgreSQL", login.logins_on_postgres),
    Group("storm", "Token checks while people log in", storm.storm),
    Group("overload", "More logins than can be hashed", overload.overload),
    Group("workers", "Two workers, beside one", scale.two_workers),
    Group("revoked", "100,000 revoked sessions, beside none", scale.revoked),
    Group("nice", "What HASH_NICE trades on a saturated core", nice.nice, always=False),
    Group("million", "1,000,000 live sessions, beside 1,000", scale.million, always=False),
    Group("units", "What one of each takes", units.units, always=False),
)


def named(names: Sequence[str]) -> list[Group]:
    return [group for group in GROUPS if group.name in names]
