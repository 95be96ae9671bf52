"""Exchange credentials for a token."""

from dataclasses import dataclass

from models import fold_user
from service.clock import Clock
from service.security.networks import Client
from service.stores.minting import Mint
from service.telemetry import events
from service.uncancelled import uncancelled
from service.use_cases.hand_out import HandOut
from service.use_cases.verify_password import VerifyPassword


@dataclass(frozen=True, slots=True)
class LogIn:
    verify_password: VerifyPassword
    mint: Mint
    hand_out: HandOut
    clock: Clock

    async def __call__(self, user: str, password: str, client: Client) -> str:
        """Return a fresh token of a fresh session. Raises what VerifyPassword raises.

        A client that hangs up while its password is being hashed has made an attempt all the same.
        """
        return await uncancelled(self._log_in(user, password, client))

    async def _log_in(self, user: str, password: str, client: Client) -> str:
        async with self.verify_password(fold_user(user), password, client) as found:
            minted = await self.mint.open_session(found, client, self.clock())
            token = await self.hand_out(minted)
        events.record(
            "login_ok", user_id=found.id, network=client.network, sid=events.short(minted.claims.sid)
        )
        return token
