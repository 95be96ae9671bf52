"""The table "When a store fails" says what the service does: every cell is tried."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from asyncpg.exceptions import ReadOnlySQLTransactionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError

from tests.backoffice import PASSWORD
from tests.faults.conftest import StartSite, slowly
from tests.faults.disk import fill
from tests.faults.proxy import Proxy
from tests.faults.servers import PostgresServer
from tests.faults.site import NO_LIMITS, Site
from tests.faults.traffic import USER, Answer, Caller
from tests.process.running import ROOT
from tests.timing import TooLate, assert_within, wait_until

REDIS_SLOW_SECONDS = 0.2
DATABASE_SLOW_SECONDS = 0.05
DATABASE_VERY_SLOW_SECONDS = 0.2
NEW_PASSWORD = "a password nobody had before"
# What an operator has who sets no limits.
USUAL_LIMITS = dict.fromkeys(NO_LIMITS, "")


def documented() -> Mapping[str, Mapping[str, int]]:
    """Read what each row of the table says, by the names of its columns."""
    text = (ROOT / "docs/operations.md").read_text()
    section = text.split("\n## When a store fails\n")[1].split("\n## ")[0]
    head, _, *rows = [cells_of(line) for line in section.splitlines() if line.startswith("|")]
    return {row: dict(zip(head[1:], map(int, cells), strict=True)) for row, *cells in rows}


def cells_of(line: str) -> list[str]:
    return [cell.strip(" `") for cell in line.strip("|").split("|")]


TABLE = documented()


@dataclass(frozen=True)
class Stage:
    """A site of one instance, and what can be broken under it."""

    site: Site
    way: Proxy | None = None  # to PostgreSQL
    disk: Path | None = None


@pytest.fixture
def on_any_database(start: StartSite, database_url: str) -> Stage:
    return Stage(start(database_url, {}, **USUAL_LIMITS))


@pytest.fixture
def on_postgres(start: StartSite, postgres: PostgresServer) -> Stage:
    return Stage(start(postgres.url, {}, **USUAL_LIMITS))


@pytest.fixture
def on_postgres_far_away(start: StartSite, postgres: PostgresServer) -> Iterator[Stage]:
    with Proxy(postgres.port) as way:
        url = postgres.url.replace(str(postgres.port), str(way.port))
        yield Stage(start(url, {}, **USUAL_LIMITS), way=way)
        way.delay(0)


@pytest.fixture
def on_a_small_disk(small_disk: Path, start: StartSite, sqlite: Path) -> Stage:
    database = shutil.copy(sqlite, small_disk / "database.sqlite3")
    return Stage(start(f"sqlite://{database}", {}, **USUAL_LIMITS), disk=small_disk)


Break = Callable[[Stage, pytest.FixtureRequest], AbstractContextManager[None]]


@contextmanager
def redis_down(stage: Stage, _: pytest.FixtureRequest) -> Iterator[None]:
    stage.site.redis.kill()
    yield
    assert stage.site.said("redis_lost") >= [1]


@contextmanager
def redis_frozen(stage: Stage, _: pytest.FixtureRequest) -> Iterator[None]:
    with stage.site.redis.frozen():
        yield
    assert stage.site.said("redis_lost") >= [1]


@contextmanager
def redis_slow(stage: Stage, _: pytest.FixtureRequest) -> Iterator[None]:
    (way,) = stage.site.ways
    way.delay(REDIS_SLOW_SECONDS)
    yield
    assert way.delayed > 0
    way.delay(0)


@contextmanager
def redis_full(stage: Stage, _: pytest.FixtureRequest) -> Iterator[None]:
    stage.site.redis.refuse_to_grow()
    with pytest.raises(OutOfMemoryError):
        stage.site.redis.client.set("one", "more")
    yield


@contextmanager
def redis_read_only(stage: Stage, _: pytest.FixtureRequest) -> Iterator[None]:
    # A replica of nobody keeps what it has, and takes no writes.
    stage.site.redis.follow(1)
    with pytest.raises(ReadOnlyError):
        stage.site.redis.client.set("one", "more")
    yield


@contextmanager
def database_down(stage: Stage, request: pytest.FixtureRequest) -> Iterator[None]:
    postgres_of(request).kill()
    yield
    assert stage.site.said("database_lost") >= [1]


@contextmanager
def database_frozen(stage: Stage, request: pytest.FixtureRequest) -> Iterator[None]:
    with postgres_of(request).frozen():
        yield
    assert stage.site.said("database_lost") >= [1]


def database_slow_by(seconds: float) -> Break:
    @contextmanager
    def slow(stage: Stage, _: pytest.FixtureRequest) -> Iterator[None]:
        assert stage.way is not None
        stage.way.delay(seconds)
        yield
        assert stage.way.delayed > 0

    return slow


@contextmanager
def database_read_only(_: Stage, request: pytest.FixtureRequest) -> Iterator[None]:
    postgres = postgres_of(request)
    postgres.read_only(on=True)
    wait_until(lambda: takes_no_writes(postgres), 2)
    yield


@contextmanager
def disk_full(stage: Stage, _: pytest.FixtureRequest) -> Iterator[None]:
    assert stage.disk is not None
    filler = fill(stage.disk)
    with pytest.raises(OSError, match="No space left"), filler.open("ab", buffering=0) as file:
        file.write(b"\0" * 4096)
    yield


@contextmanager
def both_down(stage: Stage, request: pytest.FixtureRequest) -> Iterator[None]:
    with redis_down(stage, request), database_down(stage, request):
        yield


@dataclass(frozen=True)
class Fault:
    """What is broken, under which stage, and how soon everything is answered nevertheless.

    A database that answers late is given up, and found again: all is tried while it is not given up.
    """

    breaks: Break
    stage: Callable[..., object]
    within: float
    found_again: bool = False


FAULTS: Mapping[str, Fault] = {
    "Redis down": Fault(redis_down, on_any_database, 1),
    "Redis frozen": Fault(redis_frozen, on_any_database, 1),
    # Where it answers every command in time, a change of password takes five.
    "Redis slow (+200 ms a command)": Fault(redis_slow, on_any_database, 1.5),
    "Redis full": Fault(redis_full, on_any_database, 1),
    "Redis read-only": Fault(redis_read_only, on_any_database, 1),
    "database down": Fault(database_down, on_postgres, 2),
    "database frozen": Fault(database_frozen, on_postgres, 2),
    "database slow (+50 ms a query)": Fault(
        database_slow_by(DATABASE_SLOW_SECONDS), on_postgres_far_away, 2, found_again=True
    ),
    # A change of password that has read in time waits once more, for what it writes.
    "database very slow (+200 ms a query)": Fault(
        database_slow_by(DATABASE_VERY_SLOW_SECONDS), on_postgres_far_away, 2.5, found_again=True
    ),
    "database read-only": Fault(database_read_only, on_postgres, 2),
    "disk full": Fault(disk_full, on_a_small_disk, 2),
    "both down": Fault(both_down, on_postgres, 2),
}
SOON_DONE = {"Redis down", "database down"}

# The last of these and the command end every session of the user.
USES: Mapping[str, Callable[[Caller, str], Answer]] = {
    "login": lambda caller, _: caller.log_in(),
    "who am I": Caller.who_am_i,
    "logout": Caller.log_out,
    "refresh": Caller.refresh,
    "verify": Caller.verify,
    "introspect": Caller.introspect,
    "revoke": Caller.revoke,
    "change of password": lambda caller, token: caller.change_password(token, PASSWORD, NEW_PASSWORD),
}
COMMANDS: Mapping[str, tuple[str, ...]] = {"tokens revoke": ("tokens", "revoke", "--user", USER)}


def test_every_row_and_every_column_is_tried() -> None:
    assert set(TABLE) == set(FAULTS)
    assert {tuple(cells) for cells in TABLE.values()} == {(*USES, *COMMANDS)}


@pytest.mark.parametrize("row", [row if row in SOON_DONE else slowly(row) for row in TABLE])
def test_a_store_fails(row: str, request: pytest.FixtureRequest) -> None:
    fault = FAULTS[row]
    stage: Stage = request.getfixturevalue(fault.stage.__name__)
    site, (caller,) = stage.site, stage.site.callers
    tokens = {use: caller.token() for use in USES}

    with fault.breaks(stage, request):
        answers = {}
        for use, ask in USES.items():
            if fault.found_again:
                wait_until(lambda: database_is_found(site), 5)
            answers[use] = ask(caller, tokens[use])
        seen_again = caller.who_am_i(tokens["logout"])
        exits = {name: site.instances[0].scripts(*command) for name, command in COMMANDS.items()}

    # Who waits for longer than a time-out gets another answer.
    assert_within(fault.within, max(answer.seconds for answer in (*answers.values(), seen_again)), answers)
    statuses = {use: answer.status for use, answer in answers.items()}
    given_up = [use for use, status in statuses.items() if status == 503 != TABLE[row][use]]
    if fault.found_again and given_up:
        message = f"The database was slower than it was made: {given_up}"
        raise TooLate(message)
    assert statuses | {name: done.returncode for name, done in exits.items()} == TABLE[row], (
        f"{answers} {exits} {site.instances[0].log()}"
    )
    assert all(answer.retry_after for answer in answers.values() if answer.status == 503), answers
    # A living token is never called a dead one for want of an answer.
    assert statuses["introspect"] != 200 or answers["introspect"].body["active"], answers
    # An end that was acknowledged is one, though the store is still away; one that was not may be one.
    assert statuses["logout"] != 204 or seen_again.status == 401


def database_is_found(site: Site) -> bool:
    return site.said("database_lost") == site.said("database_back")


def postgres_of(request: pytest.FixtureRequest) -> PostgresServer:
    server: PostgresServer = request.getfixturevalue("postgres")
    return server


def takes_no_writes(postgres: PostgresServer) -> bool:
    with suppress(ReadOnlySQLTransactionError):
        postgres.execute("DELETE FROM users WHERE false")
        return False
    return True
