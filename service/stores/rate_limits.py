"""Hold requests to a rate: in Redis for all processes, in this process where Redis cannot count."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from service.errors import Budget, RedisUnavailable, TooManyRequests
from service.settings import Rate
from service.stores import keys
from service.stores.pipeline import Commands, Script

_charge_network = Script("gcra", "charge_network")
_REFUSED, _NOT_WRITTEN = 0, -1
# Its multiples are made in a third of the time that the constructor takes.
_MICROSECOND = timedelta(microseconds=1)
# More buckets than that, and those used least lately are dropped: memory is bounded.
_LOCAL_BUCKETS = 30_000


@dataclass(frozen=True, slots=True)
class Bucket:
    """A rate as the algorithm sees it: so many requests at once, and one comes back every interval."""

    policy: str
    capacity: int
    interval_us: int
    window: timedelta  # in which all of them come back

    @classmethod
    def of(cls, policy: str, rate: Rate) -> Self:
        capacity = max(1, rate.burst)
        interval_us = max(1, math.ceil(rate.period / _MICROSECOND / rate.count))
        return cls(policy, capacity, interval_us, interval_us * capacity * _MICROSECOND)

    def budget(self, reply: Sequence[int]) -> Budget:
        """Read what the `charge` of gcra.lua returned; raise TooManyRequests if it refused."""
        allowed, left, next_us, full_us = reply
        budget = Budget(self.policy, self.capacity, self.window, left, full_us * _MICROSECOND)
        if allowed == _REFUSED:
            raise TooManyRequests(budget, next_us * _MICROSECOND)
        return budget


@dataclass(slots=True)
class LocalRates:
    """The same algorithm in the memory of one process; so many processes together keep to the rate."""

    processes: int
    now_us: Callable[[], int] = lambda: time.monotonic_ns() // 1000
    _full_at: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def charge(self, key: str, bucket: Bucket) -> Budget:
        """Charge one request; raise TooManyRequests if there is none left."""
        now, interval = self.now_us(), bucket.interval_us * self.processes
        capacity = max(1, bucket.capacity // self.processes)
        full_at = max(now, self._full_at.pop(key, 0))
        spare = now - (full_at + interval - interval * capacity)
        if spare >= 0:
            full_at += interval
        self._full_at[key] = full_at
        while len(self._full_at) > _LOCAL_BUCKETS:
            self._full_at.popitem(last=False)
        reply = (int(spare >= 0), max(0, spare) // interval, max(0, -spare), full_at - now)
        return bucket.budget(reply)


@dataclass(frozen=True, slots=True)
class NetworkRate:
    """The rate of a network: of its requests for the documentation, for nothing, or with a bad token."""

    redis: Commands
    local: LocalRates
    bucket: Bucket | None  # None: no limit
    now_us: Callable[[], int | str] = lambda: ""  # "": the clock of Redis

    async def charge(self, network: str) -> Budget | None:
        """Charge one request, or raise TooManyRequests."""
        if self.bucket is None:
            return None
        key = keys.rate_of_network(network)
        try:
            reply = await self.redis.run(
                _charge_network, [key], self.bucket.interval_us, self.bucket.capacity, self.now_us()
            )
        except RedisUnavailable:
            return self.local.charge(key, self.bucket)
        if reply[0] == _NOT_WRITTEN:
            return self.local.charge(key, self.bucket)
        return self.bucket.budget(reply)


@dataclass(frozen=True, slots=True)
class SessionRate:
    """The rate of a session, charged by the script that looks the session up."""

    local: LocalRates
    bucket: Bucket | None  # None: no limit

    @property
    def arguments(self) -> tuple[int, int]:
        return (0, 0) if self.bucket is None else (self.bucket.interval_us, self.bucket.capacity)

    def charged(self, key: str, reply: Sequence[int]) -> Budget | None:
        """Read what the script charged; count here what it could not. Raises TooManyRequests."""
        if self.bucket is None:
            return None
        if not reply or reply[0] == _NOT_WRITTEN:
            return self.local.charge(key, self.bucket)
        return self.bucket.budget(reply)
