"""Stores that only these tests use, and sites of the service over them."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from tests.backoffice import PASSWORD
from tests.faults import servers
from tests.faults.disk import small_file_system
from tests.faults.servers import PostgresServer, RedisServer
from tests.faults.site import SECRET, Site, site
from tests.faults.traffic import GUESSED, USER
from tests.process.running import clean_env, missing, run_module

StartSite = Callable[..., Site]


@pytest.fixture(scope="session")
def postgres_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of a PostgreSQL server with the tables and the users."""
    with servers.postgres_template() as data:
        with servers.postgres_server(data) as server:
            prepare(server.url, tmp_path_factory.mktemp("prepare"))
            server.stop()
            server.directory.rename(data.with_name("prepared"))
        yield data.with_name("prepared")


@pytest.fixture(scope="session")
def sqlite_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the tables and the users."""
    directory = tmp_path_factory.mktemp("sqlite")
    prepare(f"sqlite://{directory / 'prepared.sqlite3'}", directory)
    return directory / "prepared.sqlite3"


@pytest.fixture
def postgres(postgres_data: Path) -> Iterator[PostgresServer]:
    with servers.postgres_server(postgres_data) as server:
        yield server


@pytest.fixture(scope="module")
def postgres_of_the_module(postgres_data: Path) -> Iterator[PostgresServer]:
    with servers.postgres_server(postgres_data) as server:
        yield server


@pytest.fixture
def sqlite(sqlite_data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sqlite_data, tmp_path / "copy.sqlite3"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    if os.geteuid() != 0:
        missing("only root may mount a small file system")
    with small_file_system(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """SQLite, which is everywhere; PostgreSQL where tests run on servers (TEST_STORES)."""
    if os.environ.get("TEST_STORES", "embedded") == "embedded":
        return f"sqlite://{request.getfixturevalue('sqlite')}"
    return str(request.getfixturevalue("postgres").url)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with servers.redis_server() as server:
        yield server


@pytest.fixture
def another_redis() -> Iterator[RedisServer]:
    with servers.redis_server() as server:
        yield server


@pytest.fixture
def new_directory(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return lambda: tmp_path_factory.mktemp("instance")


@pytest.fixture
def start(redis: RedisServer, new_directory: Callable[[], Path]) -> Iterator[StartSite]:
    """Start instances of the service over a database and the test's Redis: two, if nothing else is said."""
    with ExitStack() as stack:

        def start_site(database_url: str, *each: Mapping[str, str], **env: str) -> Site:
            return stack.enter_context(site(new_directory, redis, database_url, *(each or ({}, {})), **env))

        yield start_site


def prepare(database_url: str, directory: Path) -> None:
    """Make the tables and the users, as an operator does."""
    env = clean_env(
        directory, DATABASE_URL=database_url, JWT_SECRET=SECRET, REDIS_URL="redis://127.0.0.1:1/0"
    )
    check(run_module("scripts", "migrate", env=env))
    for user in (USER, GUESSED):
        command = ("users", "create", user, "--password-stdin")
        check(run_module("scripts", *command, env=env, stdin=PASSWORD))


def check(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr


def slowly(case: object) -> ParameterSet:
    """Mark one case of a test as one that takes its time."""
    return pytest.param(case, marks=pytest.mark.slow)
