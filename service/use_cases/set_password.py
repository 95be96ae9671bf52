"""Set a user's password, as an operator."""

from contextlib import suppress
from dataclasses import dataclass

from service.clock import Clock
from service.errors import CannotBeDone, RedisUnavailable
from service.security.password_policy import PasswordPolicy
from service.security.passwords import Passwords
from service.stores.revocations import Revocations
from service.telemetry.events import Event
from service.use_cases.find_user import FindUser
from service.use_cases.unblock_login import UnblockLogin


@dataclass(frozen=True, slots=True)
class SetPassword:
    find_user: FindUser
    revocations: Revocations
    unblock_login: UnblockLogin
    passwords: Passwords
    policy: PasswordPolicy
    clock: Clock

    async def __call__(self, user: str, password: str, *, by: str) -> int:
        """End a block of the account as well, and every session; return how many sessions those were."""
        if complaints := self.policy.complaints(password):
            raise CannotBeDone(complaints[0])
        found, now, password_hash = await self.find_user(user), self.clock(), self.passwords.hash(password)
        event = Event("password_set", now, found.id, by=by)
        # Without Redis only the counters of the last minutes are left, and they end by themselves. And first:
        # were the database lost in between, a password would be set that nobody has been told.
        with suppress(RedisUnavailable):
            await self.unblock_login(user, by=by)
        return await self.revocations.end_all_of(
            found.id, by=by, why="password_set", now=now, event=event, password_hash=password_hash
        )
