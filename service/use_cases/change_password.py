"""Set one's own new password, by the old one."""

from dataclasses import dataclass

from models import fold_user
from service.clock import Clock
from service.errors import Invalid, Unauthenticated
from service.security.hashing_pool import HashingPool
from service.security.networks import Client
from service.security.password_policy import PasswordPolicy
from service.security.passwords import Passwords
from service.security.principal import Principal
from service.stores.minting import Mint
from service.stores.revocations import Revocations
from service.uncancelled import uncancelled
from service.use_cases.hand_out import HandOut
from service.use_cases.verify_password import VerifyPassword


@dataclass(frozen=True, slots=True)
class ChangePassword:
    verify_password: VerifyPassword
    policy: PasswordPolicy
    passwords: Passwords
    hashing: HashingPool
    mint: Mint
    revocations: Revocations
    hand_out: HandOut
    clock: Clock

    async def __call__(self, principal: Principal, current: str, new: str, client: Client) -> str:
        """Return a fresh token; every earlier token of the user is dead by then.

        Raises Invalid for a password that breaks the policy, before an attempt is spent on the current one.
        """
        if complaints := self.policy.complaints(new):
            raise Invalid({"password": complaints})
        return await uncancelled(self._change(principal, current, new, client))

    async def _change(self, principal: Principal, current: str, new: str, client: Client) -> str:
        async with self.verify_password(fold_user(principal.user), current, client) as verified:
            user = verified.user
            if user.id != principal.user_id:
                raise Unauthenticated
            password_hash = await self.hashing.run(self.passwords.hash, new)
            now = self.clock()
            minted = await self.mint.change_password(user, password_hash, client, now)
            await self.revocations.raise_version(user.id, minted.claims.version, now)
        return await self.hand_out(minted)
