"""Bring the database to the newest schema, one process at a time."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
from tortoise import Tortoise
from tortoise.connection import get_connection
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget

from models import APPS
from service.errors import CannotBeDone, DatabaseRefused
from service.stores.database import GONE, REFUSED, unavailable
from service.stores.database_url import connection, postgres_credentials

# Any number will do, as long as nobody else takes this one: "backoffice" in a telephone's letters.
_ADVISORY_LOCK = 2_225_633_423
# Building an index may take its time; nothing else waits for a migration.
_STATEMENT_TIMEOUT = timedelta(minutes=30)


async def migrate(url: str, timeout: timedelta) -> list[str]:
    """Apply what is pending and return the names.

    Raises DatabaseUnavailable if it cannot be reached, CannotBeDone if it does not let the schema be changed.
    Safe when several processes begin at once: they take turns, and the later ones find nothing to do.
    """
    applied: list[str] = []

    def note(event: str, _app: str, name: str) -> None:
        if event == "apply_done":
            applied.append(name)

    try:
        async with _only_one(url, timeout):
            try:
                await _apply(url, note)
            except REFUSED as error:
                raise _stopped(error, applied) from error
            finally:
                await Tortoise.close_connections()
    except (*GONE, *REFUSED) as error:
        raise unavailable(error) from error
    return applied


async def _apply(url: str, note: Callable[[str, str, str], None]) -> None:
    config = {"connections": {"default": connection(url, _STATEMENT_TIMEOUT)}, "apps": APPS}
    await Tortoise.init(config=config, init_connections=False)
    client = get_connection("default")
    # Before Tortoise would: where that fails, it keeps its lock, and then waits for it without end.
    await client.create_connection(with_db=True)
    newest = [MigrationTarget(app, "__latest__") for app in APPS]
    await MigrationExecutor(client, APPS).migrate(newest, direction="forward", progress=note)


def _stopped(error: Exception, applied: list[str]) -> Exception:
    reason = unavailable(error)
    if not isinstance(reason, DatabaseRefused):
        return reason
    before = f"after {', '.join(applied)}" if applied else "before anything was applied"
    return CannotBeDone(
        f"The database refused a migration ({reason.words}), {before}: mend that and run it again."
    )


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


async def missing_and_unknown() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the migrations that the open database lacks, and those it has that this release does not."""
    executor = MigrationExecutor(get_connection("default"), APPS)
    await executor.loader.build_graph()
    here = {key.name for key in executor.loader.disk_migrations}
    applied = await executor.recorder.applied_migrations()
    there = {key.name for key in applied if key.app_label in APPS}
    return tuple(sorted(here - there)), tuple(sorted(there - here))
