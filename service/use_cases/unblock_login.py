"""Let an account be tried again: end its block and forget its failures."""

from dataclasses import dataclass
from functools import partial

from models import fold_user
from service.clock import Clock
from service.security.accounts import AccountHash
from service.stores.login_guard import LoginGuard
from service.stores.login_history import LoginHistory
from service.stores.security_events import SecurityEvents
from service.telemetry.events import Event


@dataclass(frozen=True, slots=True)
class UnblockLogin:
    guard: LoginGuard
    account_hash: AccountHash
    history: LoginHistory
    events: SecurityEvents
    clock: Clock

    async def __call__(self, user: str, *, by: str) -> bool:
        """Return whether there was a block. Names that do not exist can be blocked, and unblocked, as well.

        Raises RedisUnavailable when the block is gone and only the counter of the last minutes is left.
        """
        account = self.account_hash(fold_user(user))
        now = self.clock()
        event = Event("account_unblocked", now, account=account.hash, by=by)
        blocked = await self.events.commit(
            partial(self.history.unblock, account, now), lambda there: event.with_details(blocked=there)
        )
        await self.guard.forget_account(account.hash)
        return blocked
