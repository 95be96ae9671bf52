"""Lay the figures out: for the terminal, and for the README."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.measure import CONNECTIONS
from benchmarks.result import BUSY_ENOUGH, Result

NAME, LOOKS_UP = "peers", "looks up"  # the file of the figures, and what they do not say there

_HEADINGS = ("who am I", "requests/s", "CPU per request", "ratio")
_ASKS_FOR = "on every request it asks for"
_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Line:
    """The figures of one server, and what it asks on every request."""

    name: str
    rate: float
    cpu_us: float
    ratio: float
    busy: float
    looks_up: str

    @classmethod
    def of(cls, result: Result, looks_up: str) -> "Line":
        return cls(
            result.name, result.rate or 0, result.cpu_us or 0, result.value, result.busy or 0, looks_up
        )

    @property
    def cells(self) -> tuple[str, ...]:
        return self.name, f"{self.rate:,.0f}", f"{self.cpu_us:,.1f} µs", f"{self.ratio:.2f}"


def lines_of(figures: Sequence[Result], looks_up: Sequence[str]) -> list[Line]:
    return [Line.of(*pair) for pair in zip(figures, looks_up, strict=True)]


def show(lines: Sequence[Line], skipped: Sequence[str]) -> None:
    """Print a line for each server, and who is missing."""
    table = Table(_HEADINGS[0], title=f"{CONNECTIONS} keep-alive connections, one process")
    for heading in (*_HEADINGS[1:], "core used"):
        table.add_column(heading, justify="right")
    for line in lines:
        table.add_row(*line.cells, f"{line.busy:.0%}")
    console = Console(width=_WIDTH)
    console.print(table)
    for sentence in skipped:
        console.print(f"Skipped: {sentence}.")
    if any(line.busy < BUSY_ENOUGH for line in lines):
        console.print("A server was held up by something else on this machine: rates and ratios are rough.")


def markdown(lines: Sequence[Line]) -> str:
    """Give the same lines as a table for the README."""
    rows = [(*_HEADINGS, _ASKS_FOR), ("---",) * (len(_HEADINGS) + 1)]
    rows += [(*line.cells, line.looks_up) for line in lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
