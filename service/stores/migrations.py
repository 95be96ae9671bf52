"""Bring the database to the newest schema, one process at a time."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
from tortoise import Tortoise
from tortoise.migrations.api import migrate as tortoise_migrate

from models import APPS
from service.errors import DatabaseUnavailable
from service.stores.database import connection, postgres_credentials

# Any number will do, as long as nobody else takes this one: "backoffice" in a telephone's letters.
_ADVISORY_LOCK = 2_225_633_423
# Building an index may take its time; nothing else waits for a migration.
_STATEMENT_TIMEOUT = timedelta(minutes=30)


async def migrate(url: str, timeout: timedelta) -> list[str]:
    """Apply what is pending and return the names; raise DatabaseUnavailable if it cannot be reached.

    Safe when several processes begin at once: they take turns, and the later ones find nothing to do.
    """
    applied: list[str] = []

    def note(event: str, _app: str, name: str) -> None:
        if event == "apply_done":
            applied.append(name)

    try:
        async with _only_one(url, timeout):
            config = {"connections": {"default": connection(url, _STATEMENT_TIMEOUT)}, "apps": APPS}
            try:
                await tortoise_migrate(config=config, progress=note, direction="forward")
            finally:
                await Tortoise.close_connections()
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise DatabaseUnavailable from error
    return applied


@asynccontextmanager
async def _only_one(url: str, timeout: timedelta) -> AsyncIterator[None]:
    """Hold a lock that other migrating processes wait for; a process that dies lets it go."""
    if url.startswith("sqlite:"):
        lock = Path(url.removeprefix("sqlite://") + ".migrate-lock")
        with lock.open("w") as file:  # noqa: ASYNC230 - nothing else runs in this loop
            await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
            yield
        return
    credentials = postgres_credentials(url, timeout) | {"command_timeout": None}
    holder = await asyncpg.connect(**credentials)
    try:
        await holder.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
        yield
    finally:
        await holder.close()
