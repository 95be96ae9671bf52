"""Tell whose request it is, and that the session is alive at this moment."""

from dataclasses import dataclass

from service.clock import Clock
from service.errors import Budget
from service.security.principal import Principal
from service.security.tokens import TokenCodec
from service.stores.last_seen import LastSeen
from service.stores.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class Authenticate:
    codec: TokenCodec
    sessions: SessionStore
    last_seen: LastSeen
    clock: Clock

    async def __call__(self, token: str) -> tuple[Principal, Budget | None]:
        """Return the principal and what the session's rate limit has left; None if there is no limit.

        Raises Unauthenticated, TooManyRequests if the session asks for too much, DatabaseUnavailable if
        nobody can tell.
        """
        principal, budget = await self.sessions.check(self.codec.read(token, self.clock()))
        self.last_seen.note(principal.sid)
        return principal, budget
