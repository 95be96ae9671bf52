"""Tell an operator what the next login of an account would get, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from models import KnownNetwork, fold_user
from service.clock import Clock
from service.errors import RedisUnavailable
from service.security.accounts import Account, AccountHash
from service.security.networks import Client
from service.stores.attempt_counters import Count, Counter
from service.stores.login_guard import LoginGuard
from service.stores.login_history import LoginHistory, Standing

BLOCKED = "the account is blocked"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a login with the right password would get: 200, 401 or 429, and what that follows from."""

    status: int
    reason: str
    retry_after: timedelta | None  # with 429 only
    standing: Standing
    counters: Sequence[tuple[Counter, Count]] | None  # None: Redis does not answer
    known_networks: Sequence[KnownNetwork]


@dataclass(frozen=True, slots=True)
class ExplainLogin:
    guard: LoginGuard
    account_hash: AccountHash
    history: LoginHistory
    clock: Clock

    async def __call__(self, user: str, client: Client | None) -> Explanation:
        """Explain, and count nothing. Without a client: from an unknown network that has tried nothing."""
        user_key, now = fold_user(user), self.clock()
        account = self.account_hash(user_key)
        standing = await self.history.standing(user_key, account, client.network if client else "", now)
        known: Sequence[KnownNetwork] = ()
        if standing.user is not None:
            known = await self.history.known_networks(standing.user.id, now)
        counted_out, counters = await self._counters(account, client, standing)
        blocked_for = standing.blocked_for(now)
        if blocked_for is not None:
            return Explanation(429, BLOCKED, blocked_for, standing, counters, known)
        if counted_out is not None:
            return Explanation(429, "a limit is spent", counted_out, standing, counters, known)
        status, reason = _without_limits(standing)
        return Explanation(status, reason, None, standing, counters, known)

    async def _counters(
        self, account: Account, client: Client | None, standing: Standing
    ) -> tuple[timedelta | None, Sequence[tuple[Counter, Count]] | None]:
        try:
            decision, counters = await self.guard.look(account.hash, client, known=standing.known)
        except RedisUnavailable:
            return None, None
        counted_out = decision.blocked_for if decision.verdict == "blocked" else None
        return counted_out, list(zip(counters, decision.counts, strict=True))


def _without_limits(standing: Standing) -> tuple[int, str]:
    if standing.user is None:
        return 401, "there is no such user"
    if not standing.user.active:
        return 401, "the user is disabled"
    return 200, "nothing is in the way"
