"""Exchange a token for a later one of the same session."""

from dataclasses import dataclass

from service.clock import Clock
from service.security.principal import Principal
from service.stores.minting import Mint
from service.stores.security_events import SecurityEvents
from service.telemetry.events import Event, short
from service.uncancelled import uncancelled
from service.use_cases.hand_out import HandOut


@dataclass(frozen=True, slots=True)
class Refresh:
    mint: Mint
    hand_out: HandOut
    events: SecurityEvents
    clock: Clock

    async def __call__(self, principal: Principal) -> str:
        """Return a new token; the old one runs out by itself. Raises Unauthenticated at the absolute end."""
        return await uncancelled(self._refresh(principal))

    async def _refresh(self, principal: Principal) -> str:
        now = self.clock()
        minted = await self.mint.extend_session(principal.user_id, principal.sid, now)
        self.events.note(Event("token_refreshed", now, principal.user_id, sid=short(principal.sid)))
        return await self.hand_out(minted)
