"""Reach the database: bounded in time, never half cancelled, its faults translated."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
from tortoise import Tortoise
from tortoise.exceptions import (
    DBConnectionError,
    IntegrityError,
    OperationalError,
    TransactionManagementError,
)
from tortoise.transactions import in_transaction

from models import APPS
from service.errors import DatabaseUnavailable
from service.settings import SettingsError
from service.uncancelled import in_background

T = TypeVar("T")

# Driver errors come through Tortoise untranslated.
_FAULTS = (
    OSError,
    TimeoutError,
    sqlite3.OperationalError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OperationalError,
    DBConnectionError,
    TransactionManagementError,
)
# How long SQLite waits for another process's write. Reads queue behind it, so it is short.
_SQLITE_BUSY_MS = 200
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


class Database:
    """Runs work on the Tortoise models; connections are opened by the first use."""

    def __init__(self, url: str, timeout: timedelta) -> None:
        self._url = url
        self._timeout = timeout

    async def open(self) -> None:
        await Tortoise.init(
            config={"connections": {"default": connection(self._url, self._timeout)}, "apps": APPS},
            # Requests run in tasks that do not descend from the one that opened the database.
            _enable_global_fallback=True,
        )

    async def close(self) -> None:
        await Tortoise.close_connections()

    async def read(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run queries, each by itself; raise DatabaseUnavailable if they fail or take too long."""
        return await self._bounded(_call(work))

    async def write(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run queries as one transaction, whose first statement must be a write.

        SQLite fails a transaction that reads first when somebody else wrote meanwhile. A time-out leaves
        open whether the transaction took place: it goes on, and only its caller is told to come back.
        """
        return await self._bounded(_transact(work))

    async def _bounded(self, work: Coroutine[Any, Any, T]) -> T:
        # Not cancelled at the time-out: a transaction cancelled as it begins keeps SQLite's lock, or a
        # connection of the pool, for good. The driver's own time-outs end the task.
        task = in_background(work)
        done, _ = await asyncio.wait({task}, timeout=self._timeout.total_seconds())
        if not done:
            raise DatabaseUnavailable
        try:
            return task.result()
        except IntegrityError:
            raise  # an OperationalError to Tortoise, but the database's answer, not its absence
        except _FAULTS as error:
            raise DatabaseUnavailable from error


async def _call(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


async def _transact(work: Callable[[], Awaitable[T]]) -> T:
    async with in_transaction():
        return await work()


def connection(url: str, timeout: timedelta) -> dict[str, Any]:
    """Translate a database URL into Tortoise's connection settings.

    Tortoise's own reading of URLs leaves percent-encoding in user names, takes `sslmode` for an unknown
    argument and `ssl=false` for true.
    """
    if url.startswith("sqlite:"):
        pragmas = {"journal_mode": "WAL", "synchronous": "FULL", "busy_timeout": _SQLITE_BUSY_MS}
        return {
            "engine": "tortoise.backends.sqlite",
            "credentials": {"file_path": url.removeprefix("sqlite://"), **pragmas},
        }
    return {"engine": "tortoise.backends.asyncpg", "credentials": postgres_credentials(url, timeout)}


def postgres_credentials(url: str, timeout: timedelta) -> dict[str, Any]:
    """Translate a postgres:// URL into the arguments of `asyncpg.connect`, time-outs included."""
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    mode = query.get("sslmode", "prefer")
    if mode not in _SSL_MODES:
        raise SettingsError(f"DATABASE_URL: sslmode must be one of {', '.join(_SSL_MODES)}.")
    seconds = timeout.total_seconds()
    return {
        "host": unquote(parts.hostname) if parts.hostname else query.get("host"),
        "port": parts.port or 5432,
        "user": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "database": unquote(parts.path.lstrip("/")) or None,
        "ssl": mode,
        "timeout": seconds,
        "command_timeout": seconds,
    }
