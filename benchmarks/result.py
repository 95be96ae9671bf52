"""One line of what was found: a value, and what it is promised to be."""

from dataclasses import asdict, dataclass
from typing import Any

# A noisy neighbour can spoil a run, but it cannot make the service faster.
_TOLERANCE = 0.10
# Below this, something else held the server up. An idle moment between two requests costs every server a few
# microseconds more per request, and so flatters the slower one.
BUSY_ENOUGH = 0.90


@dataclass(frozen=True, slots=True)
class Bound:
    """What is promised of a value."""

    value: float
    at_least: bool
    meanwhile: float | None = None  # while a promise is known to be missed: what --check holds instead

    def kept_by(self, value: float) -> bool:
        return value >= self.value if self.at_least else value <= self.value

    @property
    def line(self) -> float:
        """What --check holds a value to, but for its tolerance."""
        return self.value if self.meanwhile is None else self.meanwhile

    def held_by(self, value: float) -> bool:
        """Whether the value is good enough for --check."""
        if self.at_least:
            return value >= self.line * (1 - _TOLERANCE)
        return value <= self.line * (1 + _TOLERANCE)

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {number(self.value)}"


def at_least(value: float) -> Bound:
    return Bound(value, at_least=True)


def at_most(value: float, meanwhile: float | None = None) -> Bound:
    return Bound(value, at_least=False, meanwhile=meanwhile)


@dataclass(frozen=True, slots=True)
class Result:
    """A value with its unit, the bound it is held to, and what else is worth knowing of the row."""

    name: str
    value: float
    unit: str
    bound: Bound | None = None
    rate: float | None = None  # answers per second
    cpu_us: float | None = None  # of the server, per answer
    busy: float | None = None  # the share of a core that the server used, where it was to use all
    rounds: tuple[float, ...] = ()  # the value in each round

    @property
    def rough(self) -> bool:
        return self.busy is not None and self.busy < BUSY_ENOUGH

    @property
    def held(self) -> bool:
        return self.bound is None or self.bound.held_by(self.value)

    def better(self, other: "Result") -> "Result":
        """Choose the one that keeps to its line better; of two that are held to nothing, this one."""
        bound = self.bound
        if bound is None:
            return self
        choose = max if bound.at_least else min
        # By shares of their lines: that of a promise that is missed may be another in every run.
        return choose(self, other, key=lambda result: result.value / (result.bound or bound).line)


def to_json(result: Result) -> dict[str, Any]:
    return asdict(result)


def from_json(facts: dict[str, Any]) -> Result:
    bound = facts["bound"] and Bound(**facts["bound"])
    return Result(**{**facts, "bound": bound, "rounds": tuple(facts["rounds"])})


def number(value: float) -> str:
    """Write as many digits as say something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
