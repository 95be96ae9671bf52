"""Spend one login attempt on a password."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from models import User
from service.clock import Clock
from service.errors import CredentialsRefused, DatabaseUnavailable, Refusal, TooManyAttempts, Unauthenticated
from service.security.accounts import Account, AccountHash
from service.security.demo import is_demo
from service.security.hashing_pool import HashingPool
from service.security.networks import Client
from service.security.passwords import Passwords
from service.stores.login_guard import LoginGuard, Reservation
from service.stores.login_history import FAILURES_BEFORE_BLOCK, LoginHistory, Standing
from service.stores.security_events import SecurityEvents
from service.telemetry import metrics
from service.telemetry.events import Event
from service.uncancelled import in_background

log = logging.getLogger("service")

# More failures than that are not written down between the two steps of one attempt.
_WRITTEN_MEANWHILE = FAILURES_BEFORE_BLOCK // 2
_OTHERS_END_SOON = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Verified:
    """A user who knows her password, and how her account stood before that was known."""

    user: User
    standing: Standing


@dataclass(frozen=True, slots=True)
class VerifyPassword:
    guard: LoginGuard
    account_hash: AccountHash
    hashing: HashingPool
    passwords: Passwords
    history: LoginHistory
    events: SecurityEvents
    demo_allowed: bool
    clock: Clock

    @asynccontextmanager
    async def __call__(self, user_key: str, password: str, client: Client) -> AsyncIterator[Verified]:
        """Give the user whose password this is for the length of the block.

        The attempt is counted before the hash, and forgiven only when the block ends well. Raises
        CredentialsRefused without saying why, TooManyAttempts, or a ServiceUnavailable. An Unauthenticated
        out of the block (the user changed meanwhile) refuses the credentials.

        How the attempt ended is written down after the answer, which it never changes.
        """
        begin_by = self.hashing.admit()
        account = self.account_hash(user_key)
        try:
            standing, reservation = await self._reserve(user_key, account, client)
        except TooManyAttempts:
            blocked = Event("login_blocked", self.clock(), account=account.hash, network=client.network)
            self.events.note_folded(blocked)
            raise
        attempt = _Attempt(account, client, standing, reservation)
        try:
            user = await self._match(standing.user, user_key, password, begin_by)
            if user is None:
                raise CredentialsRefused(reservation.budget)
            yield Verified(user, standing)
        except (CredentialsRefused, Unauthenticated) as error:
            in_background(self._failed(attempt))
            raise CredentialsRefused(reservation.budget) from error
        except Refusal:
            # No hash was begun, or the password was right and a store failed after it: nobody's fault.
            in_background(self.guard.settle(reservation, "refunded"))
            raise
        except BaseException:
            # A hash once begun is an attempt, however it ended.
            in_background(self._failed(attempt))
            raise
        in_background(self._succeeded(attempt))
        if self.passwords.needs_rehash(user.password_hash):
            in_background(self._rehash(user, password))

    async def _reserve(self, user_key: str, account: Account, client: Client) -> tuple[Standing, Reservation]:
        standing = await self._standing(user_key, account, client)
        reservation = await self.guard.reserve(account.hash, client, known=standing.known)
        if standing.has_room_for(reservation.pending_on_account + _WRITTEN_MEANWHILE):
            return standing, reservation
        # Any attempt that is counted and not yet written down might be the one that starts the block. A
        # failure leaves the pending ones after it was written, so this second look cannot miss it.
        try:
            standing = await self._standing(user_key, account, client)
            if not standing.has_room_for(reservation.pending_on_account):
                raise self.guard.blocked(_OTHERS_END_SOON)
        except Refusal:
            in_background(self.guard.settle(reservation, "refunded"))
            raise
        return standing, reservation

    async def _standing(self, user_key: str, account: Account, client: Client) -> Standing:
        now = self.clock()
        standing = await self.history.standing(user_key, account, client.network, now)
        if (blocked_for := standing.blocked_for(now)) is not None:
            raise self.guard.blocked(blocked_for)
        return standing

    async def _match(self, user: User | None, user_key: str, password: str, begin_by: float) -> User | None:
        # Whoever may not sign in is verified against nothing, which takes as long as a wrong password.
        may = user is not None and user.active and (self.demo_allowed or not is_demo(user_key, password))
        stored = user.password_hash if user is not None and may else None
        # Again: others may have queued up while this one waited for its turn.
        self.hashing.admit(begin_by)
        return user if await self.hashing.run_by(begin_by, self.passwords.verify, password, stored) else None

    async def _failed(self, attempt: "_Attempt") -> None:
        user, network = attempt.standing.user, attempt.client.network
        user_id, account, now = None if user is None else user.id, attempt.account.hash, self.clock()
        self.events.note_folded(Event("login_refused", now, user_id, account, network))
        try:
            if await self.history.failed(attempt.account, user_id, network, now):
                metrics.BLOCKS.count()
                self.events.note(Event("account_blocked", now, user_id, account, network))
            metrics.FAILED_ATTEMPTS.count("yes")
        except DatabaseUnavailable:
            metrics.FAILED_ATTEMPTS.count("no")
            log.warning("failure_not_written", extra={"account": account})
        await self.guard.settle(attempt.reservation, "failed")

    async def _succeeded(self, attempt: "_Attempt") -> None:
        await self.guard.settle(attempt.reservation, "succeeded")
        if attempt.standing.failures:
            await self.history.succeeded(attempt.account)

    async def _rehash(self, user: User, password: str) -> None:
        """Upgrade the stored hash, unless it was replaced meanwhile."""
        old, new = user.password_hash, await self.hashing.run(self.passwords.hash, password)
        stale = User.filter(id=user.id, password_hash=old)
        await self.history.database.write(lambda: stale.update(password_hash=new))


@dataclass(frozen=True, slots=True)
class _Attempt:
    account: Account
    client: Client
    standing: Standing
    reservation: Reservation
