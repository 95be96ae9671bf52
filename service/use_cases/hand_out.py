"""Turn what the mint recorded into a token that works at once."""

from dataclasses import dataclass

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
        # Soon: the answer does not wait for it, and a login's goes in one write with the end of its attempt.
        self.sessions.put_soon(minted.copy)
        return self.codec.issue(minted.claims)
