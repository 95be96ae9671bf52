"""Count failed logins and say when an account may try again."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from service.errors import Budget, RedisUnavailable, TooManyAttempts
from service.security.tokens import new_id
from service.settings import Limit
from service.stores import keys
from service.stores.pipeline import Pipeline, Script

Outcome = Literal["failed", "succeeded", "refunded"]

_reserve_attempt = Script("reserve_attempt")
_settle_attempt = Script("settle_attempt")
# More buckets than that, and the oldest are dropped: memory is bounded, whatever an attacker invents.
_LOCAL_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Reservation:
    """One attempt, counted before its password is looked at."""

    id: str
    key: str
    milliseconds: int | None  # when, by the clock of Redis; None: counted in this process only
    budget: Budget | None  # None: no limit is set


class Guard(Protocol):
    """What a login asks before it looks at the password, and tells afterwards."""

    @property
    def untouched(self) -> Budget | None: ...

    async def reserve(self, account: str, network: str) -> Reservation: ...

    async def settle(self, reservation: Reservation, outcome: Outcome) -> None: ...


class OpenGuard:
    """No limit: what `LIMIT_LOGIN=0` asks for."""

    untouched = None

    async def reserve(self, account: str, network: str) -> Reservation:
        return Reservation("", keys.attempts(account, network), None, None)

    async def settle(self, reservation: Reservation, outcome: Outcome) -> None:
        """Forget it: nothing was counted."""


class LoginGuard:
    """Limits the attempts of one account from one network, counting each before its hash is computed.

    Without Redis the same limit, divided by twice the number of workers (at least 1), is kept in this
    process: stricter, never absent.
    """

    def __init__(self, redis: Pipeline, limit: Limit, workers: int) -> None:
        self._redis = redis
        self._limit = limit
        self._local = _LocalGuard(Limit(max(1, limit.count // (2 * workers)), limit.window))

    @property
    def untouched(self) -> Budget:
        """The budget of an account that nobody has tried yet."""
        return self._budget(0, self._limit.window)

    async def reserve(self, account: str, network: str) -> Reservation:
        """Count one attempt, or raise TooManyAttempts. It must be settled whatever happens next."""
        key = keys.attempts(account, network)
        attempt = new_id()
        try:
            allowed, count, reset_ms, now_ms = await self._redis.run(
                _reserve_attempt, [key], self._limit.count, _milliseconds(self._limit.window), attempt
            )
        except RedisUnavailable:
            return self._local.reserve(key, attempt)
        reset = timedelta(milliseconds=reset_ms)
        budget = self._budget(count, reset)
        if not allowed:
            raise TooManyAttempts(budget, reset)
        return Reservation(attempt, key, now_ms, budget)

    async def settle(self, reservation: Reservation, outcome: Outcome) -> None:
        """Turn the attempt into a failure, forget the account's failures, or give the attempt back.

        Where Redis is gone nothing is lost: an unsettled attempt counts as a failure.
        """
        if reservation.milliseconds is None:
            self._local.settle(reservation, outcome)
            return
        arguments = (reservation.id, reservation.milliseconds, _milliseconds(self._limit.window), outcome)
        try:
            await self._redis.run(_settle_attempt, [reservation.key], *arguments)
        except RedisUnavailable:
            return

    def _budget(self, count: int, reset: timedelta) -> Budget:
        return Budget(self._limit.count, self._limit.window, max(0, self._limit.count - count), reset)


class _LocalGuard:
    """The limit of one process, for as long as Redis is gone."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._window = limit.window.total_seconds()
        self._attempts: OrderedDict[str, dict[str, float]] = OrderedDict()

    def reserve(self, key: str, attempt: str) -> Reservation:
        now = time.monotonic()
        bucket = self._bucket(key, now)
        allowed = len(bucket) < self._limit.count
        if allowed:
            bucket[attempt] = now
        reset = timedelta(seconds=min(bucket.values()) + self._window - now)
        budget = Budget(self._limit.count, self._limit.window, self._limit.count - len(bucket), reset)
        if not allowed:
            raise TooManyAttempts(budget, reset)
        return Reservation(attempt, key, None, budget)

    def settle(self, reservation: Reservation, outcome: Outcome) -> None:
        if outcome == "succeeded":
            self._attempts.pop(reservation.key, None)
        elif outcome == "refunded" and (bucket := self._attempts.get(reservation.key)) is not None:
            bucket.pop(reservation.id, None)

    def _bucket(self, key: str, now: float) -> dict[str, float]:
        kept = {id_: at for id_, at in self._attempts.pop(key, {}).items() if at > now - self._window}
        self._attempts[key] = kept
        while len(self._attempts) > _LOCAL_BUCKETS:
            self._attempts.popitem(last=False)
        return kept


def _milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
