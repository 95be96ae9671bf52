"""End the session of a token that another service wants dead."""

from dataclasses import dataclass

from models import Session
from service.clock import Clock
from service.errors import Unauthenticated
from service.security.claims import Claims
from service.security.tokens import TokenCodec
from service.stores.revocations import Revocations
from service.telemetry.events import Event, short
from service.uncancelled import uncancelled


@dataclass(frozen=True, slots=True)
class RevokeToken:
    revocations: Revocations
    codec: TokenCodec
    clock: Clock

    async def __call__(self, token: str, client_id: str) -> None:
        """End the session. When this returns, no token of it is accepted by any process."""
        try:
            claims = self.codec.read_ignoring_time(token)
        except Unauthenticated:
            # The client wanted it dead, and it is (RFC 7009 section 2.2).
            return
        await uncancelled(self._end(claims, f"client:{client_id}"))

    async def _end(self, claims: Claims, by: str) -> None:
        session, now = Session.filter(id=claims.sid), self.clock()
        event = Event("session_revoked", now, claims.user_id, sid=short(claims.sid), by=by)
        await self.revocations.end(session, by=by, why="revoked_by_client", now=now, event=event)
