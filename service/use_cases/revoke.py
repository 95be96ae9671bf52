"""End sessions as an operator: by a token, by a token's id, or all of one user."""

from dataclasses import dataclass

from models import IssuedToken, Session, User, fold_user
from service.clock import Clock
from service.errors import Unauthenticated
from service.security.tokens import TokenCodec
from service.stores.database import Database
from service.stores.revocations import Revocations
from service.telemetry import events

WHY = "revoked_by_operator"


class NoSuchTarget(Exception):
    """What should be revoked does not exist; the text says what."""


@dataclass(frozen=True, slots=True)
class Revoke:
    """Each method returns how many sessions it ended that had not been ended before."""

    database: Database
    revocations: Revocations
    codec: TokenCodec
    clock: Clock

    async def token(self, token: str, *, by: str) -> int:
        """End the session of a token, be it expired; raise NoSuchTarget for one that is not ours."""
        try:
            claims = self.codec.read_ignoring_time(token)
        except Unauthenticated as error:
            raise NoSuchTarget("That is not a token of this service.") from error
        return await self._session(claims.sid, by)

    async def jti(self, jti: str, *, by: str) -> int:
        """End the session that a token was issued for."""
        issued = await self.database.read(lambda: IssuedToken.get_or_none(jti=jti))
        if issued is None:
            raise NoSuchTarget(f"No token with the jti {jti} was ever issued.")
        return await self._session(issued.session_id, by)

    async def user(self, user: str, *, by: str) -> int:
        """End every session of a user, and refuse her logins that are in the making."""
        found = await self.database.read(lambda: User.get_or_none(user_key=fold_user(user)))
        if found is None:
            raise NoSuchTarget(f"There is no user {user}.")
        ended = await self.revocations.end_all_of(found.id, by=by, why=WHY, now=self.clock())
        events.record("user_revoked", user_id=found.id, by=by, sessions=ended)
        return ended

    async def _session(self, sid: str, by: str) -> int:
        ended = await self.revocations.end(Session.filter(id=sid), by=by, why=WHY, now=self.clock())
        events.record("session_revoked", sid=events.short(sid), by=by)
        return ended
