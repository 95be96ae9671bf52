"""End one of one's own sessions, by its id."""

from dataclasses import dataclass

from models import Session
from service.clock import Clock
from service.security.principal import Principal
from service.security.tokens import is_id
from service.stores.database import Database
from service.stores.revocations import Revocations
from service.telemetry.events import Event, short
from service.uncancelled import uncancelled


@dataclass(frozen=True, slots=True)
class EndSession:
    database: Database
    revocations: Revocations
    clock: Clock

    async def __call__(self, principal: Principal, sid: str) -> bool:
        """End the session; return whether the caller has, or had, one of that id."""
        return await uncancelled(self._end(principal, sid))

    async def _end(self, principal: Principal, sid: str) -> bool:
        own = Session.filter(id=sid, user_id=principal.user_id)
        if not is_id(sid) or not await self.database.read(own.exists):
            return False
        by, now = f"user:{principal.user_id}", self.clock()
        event = Event("session_ended", now, principal.user_id, sid=short(sid))
        await self.revocations.end(own, by=by, why="ended_by_owner", now=now, event=event)
        return True
