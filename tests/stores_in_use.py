"""The stores a test run works on: embedded ones, or servers that somebody named or that answer here."""

import asyncio
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from redis import Redis

from service import embedded
from service.stores.database_url import postgres_credentials
from service.stores.migrations import migrate

LOCAL_POSTGRES = "postgres://postgres@127.0.0.1:5432/test"
LOCAL_REDIS = "redis://127.0.0.1:6379/14"
_TIMEOUT = timedelta(seconds=5)
_TABLES = "users, sessions, issued_tokens, login_failures, known_networks, security_events"


@dataclass(frozen=True)
class Stores:
    """Where the tests' data lies. One run stays with one kind of database: Tortoise caches its SQL."""

    database_url: str
    redis_url: str
    directory: Path

    @property
    def on_postgres(self) -> bool:
        return self.database_url.startswith("postgres")

    def database_for_a_test(self, directory: Path) -> str:
        """Give an empty, migrated database."""
        if self.on_postgres:
            asyncio.run(_execute(self.database_url, f"TRUNCATE {_TABLES} RESTART IDENTITY CASCADE"))
            return self.database_url
        copy = directory / "test.sqlite3"
        shutil.copy(self.database_url.removeprefix("sqlite://"), copy)
        return f"sqlite://{copy}"

    def forget_redis(self) -> None:
        with Redis.from_url(self.redis_url) as redis:
            for key in redis.scan_iter("bo:*", count=1000):
                redis.delete(key)


def wanted() -> tuple[str | None, str | None]:
    """Return the URLs of the servers to test on; None for an embedded part.

    TEST_STORES=auto takes the local servers if both answer, TEST_STORES=servers insists on them.
    """
    database, redis = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_REDIS_URL")
    redis = _own_number(redis) if redis is not None and redis.startswith("redis") else redis
    mode = os.environ.get("TEST_STORES", "embedded")
    if mode == "servers" or (mode == "auto" and _both_answer()):
        return database or LOCAL_POSTGRES, redis or _own_number(LOCAL_REDIS)
    return database, redis


def _both_answer() -> bool:
    there = {url: answers(url) for url in (LOCAL_POSTGRES, LOCAL_REDIS)}
    if os.environ.get("CI") and any(there.values()) and not all(there.values()):
        silent = ", ".join(url for url, answered in there.items() if not answered)
        raise RuntimeError(f"one server answers here and the other does not ({silent})")
    return all(there.values())


def _own_number(redis_url: str) -> str:
    """Give each process of a parallel run a database of its own: the one that is named, or the next."""
    parts = urlsplit(redis_url)
    number = int(parts.path.strip("/") or 0) + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    return urlunsplit(parts._replace(path=f"/{number}"))


def describe() -> str:
    database, redis = wanted()
    names = "PostgreSQL" if database else "SQLite", "a Redis server" if redis else "embedded Redis"
    return f"stores: {' and '.join(names)}"


@contextmanager
def opened(directory: Path) -> Iterator[Stores]:
    """Start what is embedded, make an empty database, migrate it; drop it at the end."""
    database, redis = wanted()
    with _database(database, directory) as database_url:
        asyncio.run(migrate(database_url, _TIMEOUT))
        if redis is not None:
            yield Stores(database_url, redis, directory)
            return
        with embedded.server(directory):
            yield Stores(database_url, embedded.redis_url(directory), directory)


@contextmanager
def _database(server_url: str | None, directory: Path) -> Iterator[str]:
    if server_url is None:
        yield f"sqlite://{directory / 'template.sqlite3'}"
        return
    with postgres_database(server_url) as url:
        yield url


@contextmanager
def postgres_database(server_url: str = LOCAL_POSTGRES) -> Iterator[str]:
    """Make an empty database on the server, and drop it afterwards."""
    name = f"backoffice_test_{os.getpid()}_{os.urandom(3).hex()}"
    asyncio.run(_execute(server_url, f"CREATE DATABASE {name}"))
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        asyncio.run(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(**postgres_credentials(url, _TIMEOUT))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def answers(url: str) -> bool:
    """Whether something takes connections where the URL of a server points."""
    parts = urlsplit(url)
    port = parts.port or (6379 if parts.scheme.startswith("redis") else 5432)
    try:
        socket.create_connection((parts.hostname or "localhost", port), timeout=1).close()
    except OSError:
        return False
    return True
