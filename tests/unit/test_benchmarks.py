"""What the benchmarks make of what they measured: bounds, figures, tables, the chart."""

import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import chart, markdown, pages
from benchmarks.chart import Panel
from benchmarks.failure import BenchmarkFailure, once_more
from benchmarks.groups import GROUPS
from benchmarks.hashes import Hashes
from benchmarks.login import Turn, without_hash_bound
from benchmarks.report import FULL, found, read
from benchmarks.result import Bound, Result, at_least, at_most, from_json, number, to_json


@pytest.mark.parametrize(
    ("bound", "value", "kept", "held"),
    [
        (at_least(0.7), 0.70, True, True),
        (at_least(0.7), 0.64, False, True),
        (at_least(0.7), 0.62, False, False),
        (at_most(20), 20, True, True),
        (at_most(20), 21, False, True),
        (at_most(20), 23, False, False),
        (at_most(600, meanwhile=1400), 1500, False, True),
        (at_most(600, meanwhile=1400), 1600, False, False),
    ],
)
def test_a_bound_is_kept_exactly_and_held_within_a_tenth(
    bound: Bound, value: float, kept: bool, held: bool
) -> None:
    assert bound.kept_by(value) is kept
    assert bound.held_by(value) is held


@pytest.mark.parametrize(("bound", "better"), [(at_most(20), 10.0), (at_least(20), 30.0)])
def test_the_better_of_two_runs_is_the_one_closer_to_its_promise(bound: Bound, better: float) -> None:
    low, high = (Result("a", value, "ms", bound) for value in (10.0, 30.0))

    assert {low.better(high).value, high.better(low).value} == {better}


def test_where_the_line_is_drawn_anew_in_every_run_the_better_one_is_closer_to_its_own() -> None:
    beyond = Result("a", 1480.0, "µs", at_most(600, meanwhile=1330))
    within = Result("a", 1700.0, "µs", at_most(600, meanwhile=1710))

    assert beyond.better(within) == within.better(beyond) == within


def test_a_result_comes_back_from_json_as_it_was() -> None:
    result = Result("a", 1.5, "ms", at_most(2, meanwhile=3), rate=10.0, rounds=(1.0, 2.0))

    assert from_json(to_json(result)) == result


@pytest.mark.parametrize(
    ("value", "written"), [(0.704, "0.70"), (14.26, "14.3"), (1234.5, "1,234"), (-0.5, "-0.50")]
)
def test_a_figure_has_as_many_digits_as_say_something(value: float, written: str) -> None:
    assert number(value) == written


def test_a_table_marks_what_is_missed() -> None:
    missed, kept = (Result("a", value, "ms", at_most(20)) for value in (21.0, 19.0))

    written = markdown.of_results([missed, kept]).splitlines()[2:]

    assert written == ["| a | **21.0 ms** | ≤ 20.0, missed |  |  |", "| a | 19.0 ms | ≤ 20.0 |  |  |"]


def test_the_chart_has_a_bar_for_each_result_and_a_line_for_each_promise() -> None:
    results = [Result("a <b>", 0.5, "", at_least(0.7)), Result("c", 2.0, "")]

    picture = ET.fromstring(chart.drawn([Panel("title", results)]))  # noqa: S314 - our own

    bars = picture.findall("{*}rect")
    assert float(bars[0].get("width", 0)) < float(bars[1].get("width", 0))
    assert len(picture.findall("{*}path[@class='promised']")) == 2  # one in the legend
    assert "a <b>" in [text.text for text in picture.findall("{*}text")]


def test_every_group_that_is_committed_still_exists() -> None:
    content = read(FULL)

    assert set(content) <= {group.name for group in GROUPS}
    assert all(found(content, name) for name in content)


def test_a_run_that_was_spoilt_is_measured_once_more(capsys: pytest.CaptureFixture[str]) -> None:
    tries = iter([True, False])

    def measure() -> str:
        if next(tries):
            raise BenchmarkFailure("Spoilt.")
        return "found"

    assert once_more(measure) == "found"
    assert capsys.readouterr().err == "Spoilt. Once more.\n"


def test_a_run_that_is_spoilt_twice_is_a_failure() -> None:
    def measure() -> str:
        raise BenchmarkFailure("Spoilt.")

    with pytest.raises(BenchmarkFailure):
        once_more(measure)


@pytest.mark.parametrize(("bare_us", "meanwhile"), [(1000.0, 1800.0), (300.0, 600.0)])
def test_a_login_is_held_to_its_round_trips_but_to_no_less_than_is_promised(
    bare_us: float, meanwhile: float
) -> None:
    bound = without_hash_bound([Turn(rate=400, cpu_us=900 + bare_us, alone=Hashes(1000, 900))])

    assert (bound.value, bound.meanwhile) == (600, meanwhile)


def test_the_pages_say_what_the_files_of_figures_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # All that the module names: what is forgotten here, it would overwrite.
    written = {
        name: path
        for name, path in vars(pages).items()
        if isinstance(path, Path) and path.is_file() and path != FULL
    }
    for name, path in written.items():
        monkeypatch.setattr(pages, name, Path(shutil.copy(path, tmp_path)))

    assert pages.main() == 0

    assert len(written) == 3
    for path in written.values():
        same = (tmp_path / path.name).read_text() == path.read_text()
        assert same, f"python -m benchmarks.pages has not written {path.name} since"
