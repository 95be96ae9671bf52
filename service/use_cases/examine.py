"""Find out how an installation stands, and judge it."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta

from service.clock import Clock
from service.errors import DatabaseRefused, DatabaseUnavailable, RedisUnavailable
from service.security.demo import DEMO_PASSWORD, DEMO_USER
from service.security.key_ring import KeyRing
from service.security.passwords import Passwords
from service.settings import Settings
from service.stores.database import Database
from service.stores.database_facts import DatabaseFacts, database_facts
from service.stores.pipeline import Commands
from service.stores.redis_facts import RedisFacts, redis_facts
from service.telemetry import exports
from service.use_cases.findings import Facts, Finding, findings


@dataclass(frozen=True, slots=True)
class Examine:
    settings: Settings
    database: Database
    redis: Commands
    passwords: Passwords
    keys: KeyRing
    clock: Clock

    async def __call__(self, *, thoroughly: bool) -> list[Finding]:
        """Return what is wrong. Thoroughly also tries how long a hash takes, which takes as long.

        Waits for a store that does not answer as long as a request would.
        """
        told, redis = await asyncio.gather(self._database(), self._redis())
        database = told if isinstance(told, DatabaseFacts) else None
        facts = Facts(
            settings=self.settings,
            database=database,
            redis=redis if isinstance(redis, RedisFacts) else None,
            demo_user=await self._is_demo(database),
            key_bytes=len({*self.keys.signing_key.secret}),
            hash_time=await asyncio.to_thread(self._hash_time) if thoroughly else None,
            not_installed=exports.not_installed(self.settings),
            refusal=told if isinstance(told, DatabaseRefused) else None,
            database_cause=told.__cause__ if isinstance(told, DatabaseUnavailable) else None,
            redis_cause=redis.__cause__ if isinstance(redis, RedisUnavailable) else None,
        )
        return findings(facts)

    async def _database(self) -> DatabaseFacts | DatabaseUnavailable:
        try:
            return await database_facts(self.database, DEMO_USER, self.settings.bcrypt_cost, self.clock)
        except DatabaseUnavailable as error:
            return error

    async def _redis(self) -> RedisFacts | RedisUnavailable:
        try:
            return await redis_facts(self.redis, self.clock)
        except RedisUnavailable as error:
            return error

    async def _is_demo(self, database: DatabaseFacts | None) -> bool:
        # A user may well be called so. It is the password that makes her the demo user.
        if database is None or database.demo_hash is None:
            return False
        return await asyncio.to_thread(self.passwords.verify, DEMO_PASSWORD, database.demo_hash)

    def _hash_time(self) -> timedelta:
        """Take the better of two: something else may have had the processor."""
        return min(self._one_hash(), self._one_hash())

    def _one_hash(self) -> timedelta:
        began = time.perf_counter()
        self.passwords.hash("as long as a password takes")
        return timedelta(seconds=time.perf_counter() - began)
