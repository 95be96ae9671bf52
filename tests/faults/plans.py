"""Overhear what a PostgreSQL server is asked, and how it goes about it."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from asyncpg.exceptions import UndefinedFileError

from tests.faults.servers import PostgresServer
from tests.process.running import missing

_TELLING = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_format": "json",
}
# A line of the log, and those that belong to it.
_TOLD = re.compile(r" plan:\n((?:\t.*\n)+)")


@dataclass(frozen=True)
class Plan:
    """One query, and what was done for it."""

    query: str
    top: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        return float(self.top["Actual Total Time"]) / 1000

    @property
    def tables(self) -> set[str]:
        return {node["Relation Name"] for node in _reading(self.top)}

    @property
    def rows_looked_at(self) -> int:
        """How many rows of one table it took up, be it to leave them out."""
        return max((round(_rows(node)) for node in _reading(self.top)), default=0)


def telling_its_plans(server: PostgresServer) -> str:
    """Give the URL for connections on which the server writes down every plan."""
    try:
        server.execute("LOAD 'auto_explain'")
    except UndefinedFileError:
        missing("PostgreSQL's auto_explain is not installed")
    return f"{server.url}?options={quote(' '.join(f'-c {name}={value}' for name, value in _TELLING.items()))}"


@contextmanager
def overheard(server: PostgresServer) -> Iterator[list[Plan]]:
    """Yield a list that holds, after the block, the plans that were written down during it."""
    plans: list[Plan] = []
    log = server.directory / "server.log"
    before = log.stat().st_size
    yield plans
    text = log.read_bytes()[before:].decode()
    told = (json.loads(lines.replace("\n\t", "\n")) for lines in _TOLD.findall(text))
    plans += [Plan(plan["Query Text"], plan["Plan"]) for plan in told]


def _reading(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Name the parts of a plan that take rows out of a table."""
    if "Relation Name" in node and node["Node Type"] != "ModifyTable":
        yield node
    for part in node.get("Plans", ()):
        yield from _reading(part)


def _rows(node: Mapping[str, Any]) -> float:
    """Count for all rounds; the server tells it of one."""
    left_out = sum(value for name, value in node.items() if name.startswith("Rows Removed by"))
    return float((node["Actual Rows"] + left_out) * node["Actual Loops"])
