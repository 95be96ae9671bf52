"""Write down when sessions were last used, without a write per request."""

import logging
from datetime import timedelta
from functools import partial

from models import Session
from service.clock import Clock
from service.errors import DatabaseUnavailable
from service.periodic import Periodic
from service.stores.database import Database

log = logging.getLogger("service")

_WRITE_EVERY = timedelta(minutes=1)
_AT_ONCE = 500
# While the database is away; what is beyond that is not noted.
_NOTED_MAX = 100_000


class LastSeen:
    """Collects the sessions seen in a minute, and writes them in a few statements at its end."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._seen: set[str] = set()
        self._periodic = Periodic(self.write, _WRITE_EVERY)

    def start(self) -> None:
        self._periodic.start()

    async def stop(self) -> None:
        await self._periodic.stop()
        await self.write()

    def note(self, sid: str) -> None:
        if len(self._seen) < _NOTED_MAX:
            self._seen.add(sid)

    async def write(self) -> None:
        """Write what was noted; what could not be written is kept for the next time."""
        seen, self._seen, now = list(self._seen), set(), self._clock()
        for begin in range(0, len(seen), _AT_ONCE):
            batch = Session.filter(id__in=seen[begin : begin + _AT_ONCE], last_seen_at__lt=now)
            try:
                await self._database.write(partial(batch.update, last_seen_at=now))
            except DatabaseUnavailable:
                self._seen.update(seen[begin:])
                log.warning("last_seen_not_written", extra={"sessions": len(seen) - begin})
                return
