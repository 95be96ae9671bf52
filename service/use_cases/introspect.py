"""Tell another service what a token says, if it is good at this moment."""

from dataclasses import dataclass

from service.clock import Clock
from service.errors import Unauthenticated
from service.security.claims import Claims
from service.security.tokens import TokenCodec
from service.stores.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class LiveToken:
    """What a good token says, who issued it, and whose it is."""

    claims: Claims
    issuer: str
    user: str


@dataclass(frozen=True, slots=True)
class Introspect:
    """Asking about a token is not using it: the session pays nothing, and was not seen."""

    codec: TokenCodec
    sessions: SessionStore  # one without a rate
    issuer: str
    clock: Clock

    async def __call__(self, token: str) -> LiveToken | None:
        """Return what the token says; None if it is not good, for whatever reason.

        Raises DatabaseUnavailable if nobody can tell: a token is not dead for want of an answer.
        """
        try:
            claims = self.codec.read(token, self.clock())
            principal, _ = await self.sessions.check(claims)
        except Unauthenticated:
            return None
        return LiveToken(claims, self.issuer, principal.user)
