"""Turn what the mint recorded into a token that works at once."""

from contextlib import suppress
from dataclasses import dataclass

from service.errors import RedisUnavailable
from service.security.tokens import TokenCodec
from service.stores.minting import Minted
from service.stores.revocations import Revocations
from service.stores.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class HandOut:
    sessions: SessionStore
    revocations: Revocations
    codec: TokenCodec

    async def __call__(self, minted: Minted) -> str:
        """Return the token, after the sessions that the cap ended are refused everywhere."""
        await self.revocations.bury(minted.evicted)
        # Without the copy the session is looked up in the database, and copied then.
        with suppress(RedisUnavailable):
            await self.sessions.put(minted.copy)
        return self.codec.issue(minted.claims)
