"""End one's own sessions: this one, the others, or all of them."""

from dataclasses import dataclass
from enum import StrEnum

from models import Session
from service.clock import Clock
from service.security.principal import Principal
from service.stores.revocations import Revocations
from service.telemetry.events import Event, short
from service.uncancelled import uncancelled


class Scope(StrEnum):
    CURRENT = "current"
    OTHERS = "others"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class LogOut:
    revocations: Revocations
    clock: Clock

    async def __call__(self, principal: Principal, scope: Scope = Scope.CURRENT) -> None:
        """End the sessions. When this returns, no token of theirs is accepted by any process."""
        await uncancelled(self._log_out(principal, scope))

    async def _log_out(self, principal: Principal, scope: Scope) -> None:
        by, now, sid = f"user:{principal.user_id}", self.clock(), short(principal.sid)
        event = Event("logged_out", now, principal.user_id, sid=sid, details={"scope": scope.value})
        if scope is Scope.ALL:
            # Her networks stay known: else whoever holds a token of hers could open her account to a siege.
            await self.revocations.end_all_of(
                principal.user_id, by=by, why="logout_all", now=now, event=event, forget=False
            )
        elif scope is Scope.OTHERS:
            others = Session.filter(user_id=principal.user_id).exclude(id=principal.sid)
            await self.revocations.end_many(others, by=by, why="logout_others", now=now, event=event)
        else:
            this = Session.filter(user_id=principal.user_id, id=principal.sid)
            await self.revocations.end(this, by=by, why="logout", now=now, event=event)
