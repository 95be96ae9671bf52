"""Spend one login attempt on a password."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from models import User
from service.errors import CredentialsRefused, Refusal, Unauthenticated
from service.security.accounts import AccountHash
from service.security.demo import is_demo
from service.security.hashing_pool import HashingPool
from service.security.networks import Client
from service.security.passwords import Passwords
from service.stores.database import Database
from service.stores.login_guard import Guard, Reservation
from service.telemetry import events
from service.uncancelled import in_background


@dataclass(frozen=True, slots=True)
class VerifyPassword:
    guard: Guard
    account_hash: AccountHash
    hashing: HashingPool
    passwords: Passwords
    database: Database
    demo_allowed: bool

    @asynccontextmanager
    async def __call__(self, user_key: str, password: str, client: Client) -> AsyncIterator[User]:
        """Give the user whose password this is for the length of the block.

        The attempt is counted before the hash, and forgiven only when the block ends well. Raises
        CredentialsRefused without saying why, TooManyAttempts, or a ServiceUnavailable. An Unauthenticated
        out of the block (the user changed meanwhile) refuses the credentials.
        """
        self.hashing.admit()
        reservation = await self.guard.reserve(self.account_hash(user_key), client.network)
        user = await self._find(user_key, reservation)
        try:
            if not await self._matches(user, user_key, password) or user is None:
                events.record("login_refused", user_id=user and user.id, network=client.network)
                raise CredentialsRefused(reservation.budget)
            yield user
        except Unauthenticated as error:
            await self.guard.settle(reservation, "failed")
            raise CredentialsRefused(reservation.budget) from error
        except BaseException:
            # A hash once begun is an attempt, however it ended.
            await self.guard.settle(reservation, "failed")
            raise
        await self.guard.settle(reservation, "succeeded")
        if self.passwords.needs_rehash(user.password_hash):
            in_background(self._rehash(user, password))

    async def _find(self, user_key: str, reservation: Reservation) -> User | None:
        try:
            return await self.database.read(lambda: User.get_or_none(user_key=user_key))
        except Refusal:
            await self.guard.settle(reservation, "refunded")
            raise

    async def _matches(self, user: User | None, user_key: str, password: str) -> bool:
        # Whoever may not sign in is verified against nothing, which takes as long as a wrong password.
        may = user is not None and user.active and (self.demo_allowed or not is_demo(user_key, password))
        stored = user.password_hash if user is not None and may else None
        return await self.hashing.run(self.passwords.verify, password, stored)

    async def _rehash(self, user: User, password: str) -> None:
        """Upgrade the stored hash, unless it was replaced meanwhile."""
        old, new = user.password_hash, await self.hashing.run(self.passwords.hash, password)
        await self.database.read(lambda: User.filter(id=user.id, password_hash=old).update(password_hash=new))
