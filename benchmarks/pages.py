"""python -m benchmarks.pages: write what was found into the README, docs/sizing.md and the chart."""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import chart, markdown, nice, sizing, storm
from benchmarks.chart import Panel
from benchmarks.groups import GROUPS
from benchmarks.peers import table as beside
from benchmarks.report import FULL, RESULTS, found, read, results_of
from benchmarks.result import Result

_ROOT = Path(__file__).parents[1]
_README = _ROOT / "README.md"
_SIZING = _ROOT / "docs" / "sizing.md"
_CHART = _ROOT / "docs" / "images" / "speed.svg"
_ELSEWHERE = ("nice", "units")  # in docs/sizing.md


def main() -> int:
    """Return 1, with a word, if something has not been measured yet."""
    content = read(FULL)
    peers = read(RESULTS / f"{beside.NAME}.json")
    measured = {group.name: found(content, group.name) for group in GROUPS} | {beside.NAME: peers}
    if missing := [name for name, facts in measured.items() if not facts]:
        print(f"Not measured yet: {', '.join(missing)}. Run: make bench-full", file=sys.stderr)
        return 1
    _CHART.write_text(chart.drawn(_panels(content)))
    _replace(_README, "speed", _speed(content))
    _replace(_README, "peers", _peers(peers))
    _replace(_SIZING, "sizes", sizing.tables(sizing.read_units(content)))
    _replace(_SIZING, "nice", nice.table(found(content, "nice")))
    return 0


def _speed(content: dict[str, Any]) -> str:
    groups = [group.name for group in GROUPS if group.name not in _ELSEWHERE]
    results = [result for group in groups for result in found(content, group)]
    return f"{_machines(content.values())}\n\n{markdown.of_results(results)}{_rough(results)}"


def _peers(content: dict[str, Any]) -> str:
    results = results_of(content)
    lines = beside.lines_of(results, content[beside.LOOKS_UP])
    return f"{_machines([content])}\n\n{beside.markdown(lines)}{_rough(results)}"


def _rough(results: Sequence[Result]) -> str:
    names = [result.name for result in results if result.rough]
    if not names:
        return ""
    return (
        f"\nRough, since the server was held up for more than a tenth of the time, by the load generator or"
        f" by something else on the machine: {'; '.join(names)}.\n"
    )


def _machines(runs: Iterable[dict[str, Any]]) -> str:
    """Name the machine; several of them if the runs come from several."""
    named = {
        f"{run['machine']['cpu']}, {run['machine']['cores']} cores, Python {run['machine']['python']}"
        for run in runs
    }
    return f"{'; '.join(sorted(named))}:"


def _panels(content: dict[str, Any]) -> Sequence[Panel]:
    checks = [*found(content, "checks"), *found(content, "redis-down")]
    calm = [result for result in found(content, "storm") if result.unit == storm.CALM]
    rates = [result for result in calm if result.bound is not None and result.bound.at_least]
    return (
        Panel("Requests answered in the CPU time that one costs an empty Sanic handler", checks),
        Panel("Token checks while people log in, of the rate when nobody does", rates),
    )


def _replace(path: Path, name: str, text: str) -> None:
    """Put the text where the page has room for it."""
    begin, end = f"<!-- {name}: written by python -m benchmarks.pages -->\n", f"<!-- end of {name} -->\n"
    page, times = re.subn(
        f"(?s)(?<={re.escape(begin)}).*?(?={re.escape(end)})", lambda _: text, path.read_text()
    )
    if times != 1:
        raise SystemExit(f"{path} has no room for {name}.")
    path.write_text(page)


if __name__ == "__main__":
    sys.exit(main())
