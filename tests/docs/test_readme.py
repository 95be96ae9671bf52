"""What the pages say is tested is: the files are there, and have no fewer cases than is said."""

import re
from collections.abc import Sized
from pathlib import Path

from tests.flows import test_framings, test_hostile_bodies

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *ROOT.glob("docs/**/*.md")]


def said(pattern: str) -> int:
    found = re.search(pattern, README)
    assert found
    return int(found[1])


def test_every_test_that_a_page_names_is_there() -> None:
    named = {name for page in PAGES for name in re.findall(r"tests/\w+/\w+\.py", page.read_text("utf-8"))}

    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_no_more_hostile_bodies_are_said_than_are_sent() -> None:
    bodies = test_hostile_bodies
    tables: tuple[Sized, ...] = (
        bodies.NOT_EVEN_JSON,
        bodies.WITHOUT_FIELDS,
        bodies.ONE_FAULT_OR_TWO,
        bodies.WRONG_CREDENTIALS,
        bodies.PASSWORD_CHANGES,
    )
    # Each of these stands in one field, in the other, and in both.
    sent = sum(map(len, tables)) + 3 * len(bodies.NO_STRING)
    undeclared = [answer for answer in bodies.CONTENT_TYPES.values() if answer == bodies.NOT_JSON]

    assert said(r"more than ([0-9]+) bodies") < sent + len(undeclared)


def test_no_more_broken_requests_are_said_than_are_sent() -> None:
    assert said(r"more than ([0-9]+) ways to write a request") < len(test_framings.BROKEN)
