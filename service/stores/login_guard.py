"""Decide whether an account may be tried once more, and keep count of how it ended."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from weakref import WeakValueDictionary

from service.errors import Budget, Overloaded, RedisUnavailable, TooManyAttempts
from service.security.networks import Client
from service.security.tokens import new_id
from service.settings import Limit
from service.stores import keys
from service.stores.attempt_counters import Counter, Counters, Decision, Outcome, SharedCounters
from service.stores.local_counters import LocalCounters
from service.telemetry import metrics

log = logging.getLogger("service")

POLICY = "login"
# What a site holds is a /48: it may use as much as so many households.
_WIDE_FACTOR = 4
_ASK_AGAIN_SECONDS = 0.1
# Whoever hangs up goes on waiting, so connections bound neither of these. So many attempts may wait in one
# process; and if more turns than this wait, they ask less often, so that they do not ask more together.
_WAITING_AT_MOST = 1000
# Without a limit of the account its attempts are counted all the same, for who is pending: the hundredth
# failure in a row blocks, and may not be found among many that are in flight.
_COUNTED_ONLY = Limit(1_000_000, timedelta(minutes=1))
_TURNS_AT_FULL_PACE = 100


@dataclass(frozen=True, slots=True)
class LoginLimits:
    """Attempts of one account from one network, on one account, from one network; None: no such limit."""

    pair: Limit | None
    account: Limit | None
    network: Limit | None

    def divided(self, by: int) -> "LoginLimits":
        """Return limits of which so many processes together keep to these; none below one attempt."""
        shared = (
            limit and Limit(max(1, limit.count // by), limit.window)
            for limit in (self.pair, self.account, self.network)
        )
        return LoginLimits(*shared)


@dataclass(frozen=True, slots=True)
class Reservation:
    """One attempt, counted before its password is looked at. It must be settled, whatever happens."""

    id: str
    at_ms: int
    where: Counters
    counters: Sequence[Counter]
    budget: Budget | None  # what the limit of the pair has left; None: there is no such limit
    pending_on_account: int  # attempts on the account that are not settled, this one included


class LoginGuard:
    """Limits login attempts, counting each before its hash is computed.

    Without Redis the limits, divided by twice the number of workers (at least 1), are kept in this process:
    stricter, never absent.
    """

    def __init__(
        self,
        shared: SharedCounters,
        local: LocalCounters,
        limits: LoginLimits,
        workers: int,
        patience: timedelta,
    ) -> None:
        self._shared = shared
        self._local = local
        self._limits = limits
        self._local_limits = limits.divided(2 * workers)
        self._patience = patience.total_seconds()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting = 0
        self._alone = False
        self._handing_over = asyncio.Lock()

    @property
    def untouched(self) -> Budget | None:
        """The budget of an account that nobody has tried yet."""
        pair = self._limits.pair
        return None if pair is None else Budget(POLICY, pair.count, pair.window, pair.count, pair.window)

    def blocked(self, blocked_for: timedelta) -> TooManyAttempts:
        """Refuse for so long. Which limit it was is nobody's business: the pair's is said to be spent."""
        pair = self._limits.pair
        spent = None if pair is None else Budget(POLICY, pair.count, pair.window, 0, blocked_for)
        return TooManyAttempts(spent, blocked_for)

    async def reserve(self, account: str, client: Client, *, known: bool) -> Reservation:
        """Count one attempt on the account; a known network is not held to the limit of the account.

        Raises TooManyAttempts if failures have spent a limit. If it is attempts whose hash is still being
        computed, this one waits for them, in the order of arrival; Overloaded if that takes too long, or too
        many wait already.
        """
        if self._waiting >= _WAITING_AT_MOST:
            raise Overloaded
        self._waiting += 1
        try:
            return await self._reserve_in_turn(account, client, known=known)
        finally:
            self._waiting -= 1

    async def look(
        self, account: str, client: Client | None, *, known: bool
    ) -> tuple[Decision, Sequence[Counter]]:
        """Decide as `reserve` would, and count nothing. Raises RedisUnavailable.

        Without a client only what is counted on the account is looked at.
        """
        counters = counters_of(self._limits, account, client, known=known)
        if not counters:
            return Decision("counted", timedelta(), 0, ()), counters
        return await self._shared.reserve("", counters), counters

    async def forget_account(self, account: str) -> None:
        """Forget what is counted on the account, and keep what is by network. Raises RedisUnavailable."""
        await self._shared.forget(keys.attempts_on_account(account))

    async def settle(self, reservation: Reservation, outcome: Outcome) -> None:
        """Turn the attempt into a failure; or give it back, and after a success clear the pair's failures."""
        if not reservation.counters:
            return
        # Where Redis is gone nothing is lost: an unsettled attempt counts as a failure.
        try:
            if await self._handed_over(reservation):
                # Here as well: it counts in the next outage.
                await self._settle(reservation, outcome)
                reservation = await self._as_shared(reservation)
            await self._settle(reservation, outcome)
        except RedisUnavailable:
            log.warning("attempt_not_settled")

    @staticmethod
    async def _settle(reservation: Reservation, outcome: Outcome) -> None:
        await reservation.where.settle(reservation.id, reservation.at_ms, outcome, reservation.counters)

    async def _handed_over(self, reservation: Reservation) -> bool:
        """Whether Redis came back while the attempt was counted here, and has been told of it."""
        if reservation.where is not self._local:
            return False
        async with self._handing_over:
            return not self._local.alone_holds(reservation.id, reservation.counters)

    async def _as_shared(self, reservation: Reservation) -> Reservation:
        """Give the time of the attempt by the clock of Redis, which a question tells."""
        age_ms = self._local.now_ms() - reservation.at_ms
        now = await self._shared.reserve("", reservation.counters)
        return replace(reservation, where=self._shared, at_ms=now.at_ms - age_ms)

    async def _reserve_in_turn(self, account: str, client: Client, *, known: bool) -> Reservation:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._patience
        attempt = new_id()
        async with self._turn(f"{account} {client.network}"):
            while (reservation := await self._try(attempt, account, client, known=known)) is None:
                if loop.time() > give_up:
                    raise Overloaded
                await asyncio.sleep(_ASK_AGAIN_SECONDS * max(1, len(self._turns) / _TURNS_AT_FULL_PACE))
        return reservation

    async def _try(self, attempt: str, account: str, client: Client, *, known: bool) -> Reservation | None:
        """Return None if the attempt has to wait for others."""
        where: Counters = self._shared
        counters = _charged(self._limits, account, client, known=known)
        if not counters:
            return Reservation(attempt, 0, where, (), None, 0)
        try:
            if self._alone:
                await self._hand_over()
            decision = await where.reserve(attempt, counters)
            # What another login has counted here meanwhile must not wait for the next outage.
            if self._alone and not self._local.untold():
                self._note(alone=False)
        except RedisUnavailable:
            self._note(alone=True)
            counters, where = _charged(self._local_limits, account, client, known=known), self._local
            decision = await where.reserve(attempt, counters)
        if decision.verdict == "full":
            return None
        if decision.verdict == "blocked":
            raise self.blocked(decision.blocked_for)
        return self._reservation(attempt, decision, where, counters)

    def _reservation(
        self, attempt: str, decision: Decision, where: Counters, counters: Sequence[Counter]
    ) -> Reservation:
        budget, pending = None, 0
        for counter, count in zip(counters, decision.counts, strict=True):
            if counter.policy == "pair":
                left = max(0, counter.limit - count.attempts)
                budget = Budget(POLICY, counter.limit, counter.window, left, count.oldest_leaves)
            elif counter.policy == "account":
                pending = count.pending
        return Reservation(attempt, decision.at_ms, where, counters, budget, pending)

    async def _hand_over(self) -> None:
        """Tell a Redis that is back what was counted without it: it may have come back empty."""
        async with self._handing_over:
            counted = self._local.untold()
            await asyncio.gather(*(self._shared.take_over(*one) for one in counted))
            self._local.told(counted)

    def _note(self, *, alone: bool) -> None:
        """Say once when the shared counters are lost, and once when they are back."""
        if alone != self._alone:
            self._alone = alone
            metrics.LIMITS_LOCAL.set(alone)
            log.warning("login_limits_local" if alone else "login_limits_shared")

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[None]:
        """Let one at a time ask, in the order of arrival; a lock that nobody waits for is forgotten."""
        lock = self._turns.get(key) or self._turns.setdefault(key, asyncio.Lock())
        async with lock:
            yield


def _charged(limits: LoginLimits, account: str, client: Client, *, known: bool) -> list[Counter]:
    """List the counters an attempt is charged to: those that limit it, and always that of the account."""
    counters = counters_of(limits, account, client, known=known)
    if limits.account is None and not known:
        key = keys.attempts_on_account(account)
        counters.append(Counter("account", key, _COUNTED_ONLY.count, _COUNTED_ONLY.window))
    return counters


def counters_of(limits: LoginLimits, account: str, client: Client | None, *, known: bool) -> list[Counter]:
    """List the counters that limit an attempt, that of the pair first."""
    pair, on_account, network = limits.pair, limits.account, limits.network
    counters = []
    if pair is not None and client is not None:
        key = keys.attempts_of_pair(account, client.network)
        counters.append(Counter("pair", key, pair.count, pair.window))
    if on_account is not None and not known:
        key = keys.attempts_on_account(account)
        counters.append(Counter("account", key, on_account.count, on_account.window))
    if network is not None and client is not None:
        key = keys.attempts_from_network(client.network)
        counters.append(Counter("network", key, network.count, network.window))
        # A neighbour in her site must not shut out an owner who sits in a network of her own.
        if client.wide_network is not None and not known:
            key = keys.attempts_from_network(client.wide_network)
            counters.append(Counter("wide network", key, _WIDE_FACTOR * network.count, network.window))
    return counters
