"""Exchange credentials for a token."""

from dataclasses import dataclass

from models import fold_user
from service.clock import Clock
from service.errors import CredentialsRefused, Overloaded, Refusal, TooManyAttempts
from service.security.networks import Client
from service.stores.minting import Mint
from service.stores.security_events import SecurityEvents
from service.telemetry import metrics
from service.telemetry.events import Event, short
from service.uncancelled import uncancelled
from service.use_cases.hand_out import HandOut
from service.use_cases.verify_password import VerifyPassword

_OUTCOMES = {CredentialsRefused: "refused", TooManyAttempts: "blocked", Overloaded: "overloaded"}


@dataclass(frozen=True, slots=True)
class LogIn:
    verify_password: VerifyPassword
    mint: Mint
    hand_out: HandOut
    events: SecurityEvents
    clock: Clock

    async def __call__(self, user: str, password: str, client: Client) -> str:
        """Return a fresh token of a fresh session. Raises what VerifyPassword raises.

        A client that hangs up while its password is being hashed has made an attempt all the same.
        """
        return await uncancelled(self._counted(user, password, client))

    @metrics.LOGIN_SECONDS.around
    async def _counted(self, user: str, password: str, client: Client) -> str:
        try:
            token = await self._log_in(user, password, client)
        except Refusal as refusal:
            metrics.LOGINS.count(_OUTCOMES.get(type(refusal), "unavailable"))
            raise
        metrics.LOGINS.count("ok")
        return token

    async def _log_in(self, user: str, password: str, client: Client) -> str:
        now = self.clock()
        async with self.verify_password(fold_user(user), password, client) as verified:
            minted = await self.mint.open_session(
                verified.user, client, now, remember=verified.standing.should_remember(now)
            )
            token = await self.hand_out(minted)
        event = Event("login_ok", now, verified.user.id, network=client.network, sid=short(minted.claims.sid))
        self.events.note(event.with_details(evicted=len(minted.evicted)) if minted.evicted else event)
        return token
