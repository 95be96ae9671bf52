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
        else:
            own = Session.filter(user_id=principal.user_id)
            chosen = own.filter(id=principal.sid) if scope is Scope.CURRENT else own.exclude(id=principal.sid)
            why = "logout" if scope is Scope.CURRENT else "logout_others"
            await self.revocations.end(chosen, by=by, why=why, now=now, event=event)
