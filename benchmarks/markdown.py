"""Write tables as Markdown."""

from collections.abc import Iterable, Sequence

from benchmarks.result import Result, number


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def of_results(results: Iterable[Result]) -> str:
    """Write what was found, and what was promised and is not kept."""
    head = ("", "found", "promised", "answers/s", "CPU each")
    return table(head, map(_row, results))


def _row(result: Result) -> Sequence[str]:
    found = f"{number(result.value)} {result.unit}"
    kept = result.bound is None or result.bound.kept_by(result.value)
    return (
        result.name,
        found if kept else f"**{found}**",
        "" if result.bound is None else f"{result.bound}{'' if kept else ', missed'}",
        "" if result.rate is None else number(result.rate),
        "" if result.cpu_us is None else f"{number(result.cpu_us)} µs",
    )
