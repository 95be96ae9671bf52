"""Tell whose request it is, and that the session is alive at this moment."""

from dataclasses import dataclass
from datetime import datetime

from service.clock import Clock, from_unix
from service.security.tokens import TokenCodec
from service.stores.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class Principal:
    """The user behind a request and the session she speaks through."""

    user_id: int
    name: str
    user: str
    sid: str
    issued_at: datetime  # when the session began
    expires_at: datetime  # when it ends, unless it is refreshed


@dataclass(frozen=True, slots=True)
class Authenticate:
    codec: TokenCodec
    sessions: SessionStore
    clock: Clock

    async def __call__(self, token: str) -> Principal:
        """Return the principal, or raise Unauthenticated; DatabaseUnavailable if nobody can tell."""
        copy = await self.sessions.check(self.codec.read(token, self.clock()))
        return Principal(
            user_id=copy.user_id,
            name=copy.name,
            user=copy.user,
            sid=copy.sid,
            issued_at=from_unix(copy.start),
            expires_at=from_unix(copy.end),
        )
