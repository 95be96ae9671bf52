"""Reach the database: bounded in time, never half cancelled, its faults translated."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from tortoise import Tortoise
from tortoise.backends.base.client import TransactionContext
from tortoise.connection import get_connection
from tortoise.exceptions import (
    DBConnectionError,
    IntegrityError,
    OperationalError,
    TransactionManagementError,
)
from tortoise.expressions import Expression, RawSQL, ResolveContext, ResolveResult
from tortoise.transactions import in_transaction

from models import APPS
from service.errors import DatabaseRefused, DatabaseUnavailable
from service.stores.database_url import connection
from service.stores.outage import Outage
from service.telemetry import metrics
from service.uncancelled import finish_all, kept

T = TypeVar("T")

# Driver errors come through Tortoise untranslated. The first kind says that nobody is there, and it will be
# asked whether somebody is; the second that this one thing could not be done (locked, full, read-only).
GONE = (
    OSError,
    TimeoutError,
    DBConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection that ends while something else goes on with it
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
REFUSED = (sqlite3.OperationalError, OperationalError, TransactionManagementError, asyncpg.PostgresError)
_PENDING = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)
_PENDING_ON_SQLITE = ("no such table", "no such column", "has no column named")


class Database:
    """Runs work on the Tortoise models; connections are opened by the first use.

    Once it does not answer, everything fails at once until it does, so that nobody waits for it twice.
    """

    def __init__(self, url: str, timeout: timedelta) -> None:
        self._url = url
        self._timeout = timeout
        self._connected = False
        self._connecting = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._outage = Outage("database", self._ask, GONE + REFUSED)

    async def open(self) -> None:
        await Tortoise.init(
            config={"connections": {"default": connection(self._url, self._timeout)}, "apps": APPS},
            # Requests run in tasks that do not descend from the one that opened the database.
            _enable_global_fallback=True,
        )

    async def close(self) -> None:
        self._outage.close()
        # A pool waits for the connections of a server that does not answer. SQLite's thread comes to an end,
        # and must not answer to a loop that is gone.
        patience = None if self.on_sqlite else self._timeout.total_seconds()
        for last_words in (finish_all, Tortoise.close_connections):
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await last_words()

    async def read(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run queries, each by itself; raise DatabaseUnavailable if they fail or take too long."""
        return await self._bounded(lambda: self._call(work))

    @property
    def on_sqlite(self) -> bool:
        return self._url.startswith("sqlite:")

    async def rows(self, sql: str, *arguments: object) -> list[dict[str, Any]]:
        """Run one query that the models cannot express, written for this kind of database."""
        found = await self.read(lambda: get_connection("default").execute_query_dict(sql, list(arguments)))
        return list(found)

    async def row(self, sql: str, *arguments: object) -> dict[str, Any]:
        """Run one query for both kinds, with `?` for its arguments; return its only row."""
        if not self.on_sqlite:
            numbers = count(1)
            sql = re.sub(r"\?", lambda _: f"${next(numbers)}", sql)
        (row,) = await self.rows(sql, *arguments)
        return row

    def change_number(self, table: str, column: str) -> "Sql":
        """Number the change that the caller's transaction makes: see `_Changes` in revoked.py for its use.

        PostgreSQL: the transaction's id. SQLite: above all in the column, and above the time, since a row
        that held the highest number may have been pruned.
        """
        if self.on_sqlite:
            milliseconds = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
            return Sql(
                f"(SELECT MAX(COALESCE(MAX({column}), 0) + 1, {milliseconds}) FROM {table})"  # noqa: S608 - names of ours
            )
        return Sql("pg_current_xact_id()::text::bigint")

    async def find_by_index(self) -> None:
        """Within a transaction: have PostgreSQL look up many ids, where it would sooner read a whole table.

        It takes a look-up for four times as dear as it is on a disk that does not turn.
        """
        if not self.on_sqlite:
            await get_connection("default").execute_query("SET LOCAL random_page_cost = 1")

    async def write(self, work: Callable[[], Awaitable[T]], *, within: timedelta | None = None) -> T:
        """Run queries as one transaction, whose first statement must be a write.

        SQLite fails a transaction that reads first when somebody else wrote meanwhile. A time-out leaves
        open whether the transaction took place: it goes on, and only its caller is told to come back. With
        `within` the transaction may take that long, but each statement of it no longer than any other.
        """
        if not self.on_sqlite:
            return await self._bounded(lambda: self._transact(work), within)
        async with self._turn_to_write():
            return await self._bounded(lambda: self._transact(work), within)

    async def _call(self, work: Callable[[], Awaitable[T]]) -> T:
        await self._connect()
        return await work()

    async def _transact(self, work: Callable[[], Awaitable[T]]) -> T:
        await self._connect()
        async with AsyncExitStack() as stack:
            await _begin(in_transaction(), stack)
            return await work()

    @asynccontextmanager
    async def _turn_to_write(self) -> AsyncIterator[None]:
        """Let one write at a time have SQLite's only connection, which it keeps while it waits for others.

        Reads find their way between two of them, and so none waits for more than one.
        """
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                await self._writing.acquire()
        except TimeoutError as error:
            raise DatabaseUnavailable from error
        try:
            yield
        finally:
            self._writing.release()

    async def _connect(self) -> None:
        """Open the connection, or the pool, before Tortoise would: where that fails, it keeps its lock."""
        async with self._connecting:
            if self._connected:
                return
            client = get_connection("default")
            if self.on_sqlite:
                # Where this fails, aiosqlite would leave a thread behind that may find the loop closed.
                sqlite3.connect(cast(Any, client).filename).close()
            try:
                await client.create_connection(with_db=True)
            except BaseException:
                await client.close()
                raise
            self._connected = True

    async def _bounded(
        self, work: Callable[[], Coroutine[Any, Any, T]], within: timedelta | None = None
    ) -> T:
        if self._outage.lasts:
            raise DatabaseUnavailable from self._outage.cause
        try:
            return await self._in_time(work(), within or self._timeout)
        except IntegrityError:
            raise  # an OperationalError to Tortoise, but the database's answer, not its absence
        except GONE as error:
            self._outage.begin(error)
            raise unavailable(error) from error
        except REFUSED as error:
            raise unavailable(error) from error

    @metrics.DATABASE_SECONDS.around
    async def _in_time(self, work: Coroutine[Any, Any, T], timeout: timedelta) -> T:
        # Not cancelled at the time-out: a transaction cancelled as it begins keeps SQLite's lock, or a
        # connection of the pool, for good. The driver's own time-outs end the task.
        task = kept(work)
        done, _ = await asyncio.wait({task}, timeout=timeout.total_seconds())
        if not done:
            raise TimeoutError
        return task.result()

    async def _ask(self) -> None:
        asking = self._call(lambda: get_connection("default").execute_query("SELECT 1"))
        await self._in_time(asking, self._timeout)


async def _begin(transaction: TransactionContext, stack: AsyncExitStack) -> None:
    """Begin, and leave nothing behind where that fails: Tortoise keeps the pool's connection for good."""
    try:
        await stack.enter_async_context(transaction)
    except BaseException:
        client = cast(Any, transaction).client
        taken = client._connection  # noqa: SLF001 - there is no public name for it
        if isinstance(taken, PoolConnectionProxy):
            taken.terminate()
            await client._parent._pool.release(taken)  # noqa: SLF001
        raise


def unavailable(error: Exception) -> DatabaseUnavailable:
    """Tell a database that does not answer from one that answers, but is full, locked or not migrated."""
    # A full disk and too many connections are an outage, and yet the server's own words.
    if isinstance(error, GONE) and not isinstance(error, asyncpg.InsufficientResourcesError):
        return DatabaseUnavailable()
    # Tortoise wraps what the driver said.
    said = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    # The lines below the first quote rows, and errors in data the value itself.
    first_line = "" if isinstance(said, asyncpg.DataError) else str(said).partition("\n")[0].rstrip(".")
    words = first_line or type(said).__name__
    pending = isinstance(said, _PENDING) or any(sign in words for sign in _PENDING_ON_SQLITE)
    return DatabaseRefused(words, pending=pending)


class Sql(Expression):
    """A piece of SQL as a value to set; Tortoise takes its RawSQL elsewhere only."""

    def __init__(self, sql: str) -> None:
        self._sql = sql

    def resolve(self, _resolve_context: ResolveContext) -> ResolveResult:
        return ResolveResult(term=RawSQL(self._sql))


def read_time(value: datetime | str | None) -> datetime | None:
    """Read a time as the driver gives it: SQLite's is text."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value
