"""Read sessions from the database, however many ask at once."""

import asyncio
from collections.abc import Mapping

from models import Session
from service.stores.database import Database
from service.uncancelled import in_background

# SQLite takes 999 parameters in its older versions.
_AT_ONCE = 500


class SessionRows:
    """One query at a time, for all that wait; so an emptied Redis is no stampede on the database.

    Who asks while a query is under way waits for the next: its answer must not be older than the question.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, asyncio.Future[Session | None]] = {}
        self._reading = False

    async def get(self, sid: str) -> Session | None:
        """Return the session, not revoked, with its user loaded; raise DatabaseUnavailable."""
        future = self._waiting.get(sid)
        if future is None:
            future = self._waiting[sid] = asyncio.get_running_loop().create_future()
        if not self._reading:
            self._reading = True
            in_background(self._read())
        # Shared: a caller that hangs up must not cancel it for the others.
        return await asyncio.shield(future)

    async def _read(self) -> None:
        try:
            while self._waiting:
                # The next turn of the loop: all of this one are in the batch.
                await asyncio.sleep(0)
                batch = {sid: self._waiting.pop(sid) for sid in list(self._waiting)[:_AT_ONCE]}
                await self._answer(batch)
        finally:
            self._reading = False

    async def _answer(self, batch: Mapping[str, asyncio.Future[Session | None]]) -> None:
        alive = Session.filter(id__in=list(batch), revoked_at=None).select_related("user")
        try:
            rows = {row.id: row for row in await self._database.read(lambda: alive)}
        except Exception as error:  # noqa: BLE001 - a bug as well is told to those who wait, and not to nobody
            for future in batch.values():
                future.set_exception(error)
            return
        for sid, future in batch.items():
            future.set_result(rows.get(sid))
