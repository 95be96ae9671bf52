"""The page that names files names those that exist, and every one; pictures are there and load nothing."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-it-works.md"
# A path with a folder and an ending, between backticks; `routes/` or `python -m service` is none.
NAMED = re.compile(r"`([\w./-]+/[\w.-]+\.\w+)`")


def named() -> "Counter[str]":
    return Counter(NAMED.findall(PAGE.read_text(encoding="utf-8")))


def written() -> set[str]:
    """List the Python files that hold something."""
    files = [path for folder in ("service", "scripts") for path in (ROOT / folder).rglob("*.py")]
    return {str(path.relative_to(ROOT)) for path in files if path.stat().st_size}


def test_every_file_that_is_named_exists() -> None:
    missing = {name for name in named() if not (ROOT / name).is_file()}

    assert not missing


def test_every_python_file_is_named_once() -> None:
    times = {name: named()[name] for name in written()}

    assert {name: count for name, count in times.items() if count != 1} == {}


def test_every_picture_is_shown() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = [
        page.parent / name
        for page in pages
        for name in re.findall(r"!\[[^\]]+\]\(([^):]+)\)", page.read_text(encoding="utf-8"))
    ]

    assert sorted(shown) == sorted((ROOT / "docs" / "images").iterdir())


def test_a_picture_loads_nothing_from_elsewhere_and_is_small() -> None:
    drawn = {path.name: path.read_text() for path in (ROOT / "docs" / "images").glob("*.svg")}
    taken = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").glob("*.png")}

    assert [name for name, picture in drawn.items() if "url(http" in picture or "href" in picture] == []
    assert {name: size for name, size in taken.items() if size >= 200_000} == {}
