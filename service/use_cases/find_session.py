"""Find the session of a token, for an operator."""

from dataclasses import dataclass

from models import IssuedToken
from service.errors import CannotBeDone, Unauthenticated
from service.security.tokens import TokenCodec, is_id
from service.stores.database import Database


@dataclass(frozen=True, slots=True)
class FindSession:
    """Each method returns the id of a session, be it ended, or raises CannotBeDone."""

    database: Database
    codec: TokenCodec

    def of_token(self, token: str) -> str:
        try:
            return self.codec.read_ignoring_time(token).sid
        except Unauthenticated as error:
            raise CannotBeDone("That is not a token of this service.") from error

    async def of_jti(self, jti: str) -> str:
        known = IssuedToken.get_or_none(jti=jti)
        issued = await self.database.read(lambda: known) if is_id(jti) else None
        if issued is None:
            raise CannotBeDone(f"No token with the jti {jti} was ever issued.")
        return issued.session_id
