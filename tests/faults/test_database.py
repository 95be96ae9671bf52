"""Whatever happens to the database: what Redis knows is served, and no acknowledgement is false."""

import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import StartSite, slowly
from tests.faults.disk import fill
from tests.faults.servers import PostgresServer
from tests.faults.site import Site
from tests.faults.traffic import Books, Caller, Kind, Traffic, assert_kept
from tests.timing import TooLate, assert_within, seconds_until, wait_until

pytestmark = pytest.mark.thorough

CALM_SECONDS = 0.7
# Twice as long as the service waits for a database.
OUTAGE_SECONDS = 2.2
LOCKED_SECONDS = 4.0
# Not taken for lost as well when the machine stands still for a moment.
REDIS_IS_THERE = {"REDIS_TIMEOUT": "1s"}
WRITES: tuple[Kind, ...] = ("log_in", "log_out", "refresh")

Fault = Callable[[PostgresServer], AbstractContextManager[None]]


@contextmanager
def killed(postgres: PostgresServer) -> Iterator[None]:
    postgres.kill()
    yield
    postgres.start()


@contextmanager
def restarted(postgres: PostgresServer) -> Iterator[None]:
    postgres.stop()
    yield
    postgres.start()


@contextmanager
def frozen(postgres: PostgresServer) -> Iterator[None]:
    with postgres.frozen():
        yield


@contextmanager
def read_only(postgres: PostgresServer) -> Iterator[None]:
    postgres.read_only(on=True)
    # Every process of the server notices by itself.
    time.sleep(0.1)
    yield
    postgres.read_only(on=False)


@pytest.mark.parametrize("fault", [killed, *map(slowly, (restarted, frozen, read_only))])
def test_postgres_gone_for_a_while(start: StartSite, postgres: PostgresServer, fault: Fault) -> None:
    site = start(postgres.url, **REDIS_IS_THERE)
    with site.traffic() as traffic:
        time.sleep(CALM_SECONDS)

        with fault(postgres):
            gone = time.monotonic()
            time.sleep(OUTAGE_SECONDS)
            back = time.monotonic()
        recovered = recovered_in(3, site)
        time.sleep(CALM_SECONDS)

    assert_kept(traffic.books, within=2)
    assert_nothing_was_written(traffic.books, (gone, back))
    assert_within(2, recovered)
    assert_the_database_agrees(site, traffic)


@pytest.mark.slow
def test_postgres_ends_its_connections_again_and_again(start: StartSite, postgres: PostgresServer) -> None:
    site = start(postgres.url, **REDIS_IS_THERE)
    with site.traffic() as traffic:
        for _ in range(30):
            postgres.end_connections()
            time.sleep(0.1)
        recovered = recovered_in(5, site)
        time.sleep(CALM_SECONDS)

    assert_kept(traffic.books, within=2)
    assert_within(2, recovered)
    assert traffic.books.statuses("log_in")[503] > 0
    assert_the_database_agrees(site, traffic)


def test_sqlite_locked_by_somebody_else(start: StartSite, sqlite: Path) -> None:
    site = start(f"sqlite://{sqlite}", **REDIS_IS_THERE)
    reader = Reader(site.callers[0])
    with site.traffic() as traffic:
        time.sleep(CALM_SECONDS)

        with closing(sqlite3.connect(sqlite, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            locked = time.monotonic()
            seen = reader.read_for(LOCKED_SECONDS)
            free = time.monotonic()
            other.execute("ROLLBACK")
        recovered = recovered_in(3, site)

    assert_kept(traffic.books, within=2)
    assert_nothing_was_written(traffic.books, (locked, free))
    assert set(seen) == {200}, seen
    assert_within(2, recovered)
    assert_the_database_agrees(site, traffic)


@pytest.mark.slow
def test_sqlite_on_a_full_disk(small_disk: Path, start: StartSite, sqlite: Path) -> None:
    database = shutil.copy(sqlite, small_disk / "database.sqlite3")
    site = start(f"sqlite://{database}", **REDIS_IS_THERE)
    reader = Reader(site.callers[0])
    with site.traffic() as traffic:
        time.sleep(CALM_SECONDS)

        filler = fill(small_disk)
        wait_until(lambda: traffic.books.statuses("log_in")[503] > 0, 20)
        full = time.monotonic()
        seen = reader.read_for(2)
        still_full = time.monotonic()
        filler.unlink()
        recovered = recovered_in(3, site)
        time.sleep(CALM_SECONDS)

    assert_kept(traffic.books, within=2)
    assert traffic.books.statuses("log_in", (full, still_full))[503] > 0
    assert set(seen) == {200}, seen
    assert_within(2, recovered)
    assert_the_database_agrees(site, traffic)


def assert_nothing_was_written(books: Books, during: tuple[float, float]) -> None:
    """Whatever writes was refused while it could not be kept, and refused often enough to be sure."""
    statuses = {kind: set(books.statuses(kind, during)) for kind in WRITES}
    if not all(statuses.values()):
        message = f"Nobody tried everything while it could not be done: {statuses}"
        raise TooLate(message)
    refused = statuses == {kind: {503} for kind in WRITES}
    assert refused, f"{statuses} {books}"


def assert_the_database_agrees(site: Site, traffic: Traffic) -> None:
    """Every session in the books is alive, or revoked, by what the database alone says."""
    site.redis.client.flushall()
    traffic.look_at_all()
    assert not traffic.books.broken, str(traffic.books)


def recovered_in(seconds: float, site: Site) -> float:
    """Return how long it takes until every instance lets in and out again."""
    return seconds_until(lambda: all(lets_in_and_out(caller) for caller in site.callers), seconds)


def lets_in_and_out(caller: Caller) -> bool:
    answer = caller.log_in()
    return answer.status == 200 and caller.log_out(answer.body["token"]).status == 204


class Reader:
    """Somebody who asks for what only the database knows."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._token = caller.token()

    def read_for(self, seconds: float) -> Counter[int]:
        """Ask for so long, and count how it was answered."""
        statuses: Counter[int] = Counter()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            statuses[self._caller.sessions(self._token).status] += 1
            time.sleep(0.05)
        return statuses
