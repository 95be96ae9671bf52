"""Numbers in memory that workers share: what is counted, summed over them, and written for Prometheus."""

import os
import re
from collections.abc import Iterator

import pytest

from service.settings import Settings
from service.telemetry import metrics

NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'{NAME}(\{{{NAME}="[^"\\]*"\}})? (-?[0-9.e+-]+|\+Inf)')


@pytest.fixture(autouse=True)
def a_row_of_its_own() -> Iterator[None]:
    """Count where no other test does, and afterwards where all of them do."""
    before = metrics._registry.row
    metrics.use_row(200)
    yield
    metrics._registry.row = before


def value(name: str) -> float:
    (line,) = [line for line in metrics.exposition().splitlines() if line.startswith(f"{name} ")]
    return float(line.rpartition(" ")[2])


def test_every_line_is_in_prometheus_format() -> None:
    for line in metrics.exposition().splitlines():
        assert re.fullmatch(rf"# (HELP|TYPE) {NAME} .+", line) or SAMPLE.fullmatch(line), line


def test_it_ends_with_a_line_feed() -> None:
    assert metrics.exposition().endswith("\n")


def test_counters_end_in_total_and_times_are_in_seconds() -> None:
    for kind, name in re.findall(r"# TYPE (\S+) (\S+)", metrics.exposition()):
        assert (name == "counter") == kind.endswith("_total"), kind
        assert (name == "histogram") <= kind.endswith("_seconds"), kind


def test_a_count_of_another_process_is_in_the_sum() -> None:
    before = value("backoffice_blocks_total")
    if (pid := os.fork()) == 0:
        metrics.use_row(201)
        metrics.BLOCKS.count()
        os._exit(0)
    os.waitpid(pid, 0)

    metrics.BLOCKS.count()

    assert value("backoffice_blocks_total") == before + 2


def test_a_successor_keeps_the_counts_of_the_dead_and_not_its_gauges() -> None:
    hashes, blocks = value("backoffice_hashes_waiting"), value("backoffice_blocks_total")
    metrics.HASHES_WAITING.change(3)
    metrics.BLOCKS.count()

    metrics.use_row(200)

    assert value("backoffice_hashes_waiting") == hashes
    assert value("backoffice_blocks_total") == blocks + 1


def test_a_histogram_counts_what_took_no_longer_than_each_bound() -> None:
    name = 'backoffice_login_seconds_bucket{le="%s"}'
    bounds = ["0.1", "0.25", "+Inf"]
    before = [value(name % bound) for bound in bounds]
    total = value("backoffice_login_seconds_sum")

    for seconds in (0.1, 0.2, 60.0):
        metrics.LOGIN_SECONDS.observe(seconds)

    assert [value(name % bound) - old for bound, old in zip(bounds, before, strict=True)] == [1, 2, 3]
    assert value("backoffice_login_seconds_sum") - total == pytest.approx(60.3)


async def test_a_coroutine_is_timed_however_it_ends() -> None:
    @metrics.LOGIN_SECONDS.around
    async def fail() -> None:
        raise LookupError

    before = value("backoffice_login_seconds_count")

    with pytest.raises(LookupError):
        await fail()

    assert value("backoffice_login_seconds_count") == before + 1


def test_a_store_that_is_back_is_not_down_and_was_lost() -> None:
    down, lost = value("backoffice_redis_down"), value('backoffice_store_lost_total{store="redis"}')

    metrics.lost("redis")
    while_lost = value("backoffice_redis_down")
    metrics.back("redis")

    assert (while_lost, value("backoffice_redis_down")) == (down + 1, down)
    assert value('backoffice_store_lost_total{store="redis"}') == lost + 1


def test_what_a_worker_that_has_ended_counted_stays_and_how_it_stood_does_not() -> None:
    down, lost = value("backoffice_redis_down"), value('backoffice_store_lost_total{store="redis"}')
    metrics.use_row(5)
    metrics.lost("redis")
    metrics.use_row(6)

    metrics.leave_row(5)

    assert value("backoffice_redis_down") == down
    assert value('backoffice_store_lost_total{store="redis"}') == lost + 1


def test_there_is_a_row_for_as_many_workers_as_may_be_asked_for_and_for_one_that_leaves() -> None:
    most = Settings.from_env({"WEB_CONCURRENCY": "256"}).workers + 1

    metrics.use_row(most)

    with pytest.raises(AssertionError, match="no row"):
        metrics.use_row(most + 1)
    with pytest.raises(AssertionError, match="no row"):
        metrics.use_row(0)
