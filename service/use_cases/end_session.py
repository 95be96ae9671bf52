"""End one of one's own sessions, by its id."""

from dataclasses import dataclass

from models import Session
from service.clock import Clock
from service.stores.database import Database
from service.stores.revocations import Revocations
from service.telemetry import events
from service.uncancelled import uncancelled
from service.use_cases.authenticate import Principal


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
        if not await self.database.read(own.exists):
            return False
        await self.revocations.end(
            own, by=f"user:{principal.user_id}", why="ended_by_owner", now=self.clock()
        )
        events.record("session_ended", user_id=principal.user_id, sid=events.short(sid))
        return True
