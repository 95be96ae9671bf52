"""The security events that are documented are those that the code tells of."""

import re
from pathlib import Path

from service.telemetry.events import NAMES

ROOT = Path(__file__).parents[2]
TOLD = re.compile(r"\bEvent\(\s*\"(\w+)\"")


def test_every_event_of_the_code_is_in_the_documented_table_and_the_other_way_round() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.partition("## Security events")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    told = {name for path in (ROOT / "service").rglob("*.py") for name in TOLD.findall(path.read_text())}

    assert documented == list(NAMES)
    assert told == set(NAMES)


def test_every_use_case_that_takes_an_operator_tells_of_her() -> None:
    takes = [path for path in (ROOT / "service" / "use_cases").glob("*.py") if "by: str" in path.read_text()]
    silent = {path.stem for path in takes if not TOLD.search(path.read_text())}

    assert takes
    assert silent == {"revoke"}  # by way of stores/bulk_revocations.py
