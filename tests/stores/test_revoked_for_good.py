"""No acknowledged revocation is ever accepted again: the argument, tried on thousands of histories.

Three processes run the real list, session store and revocations over a Redis that forgets, remembers old
times and cannot always be reached, and over a database that commits. Time is virtual, so every interleaving
of their waits is cheap to try. What is excluded is what the documentation excludes: a process cut off from
the database while Redis loses a write, or while another is cut off from Redis.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from models import Session, User
from service.errors import DatabaseUnavailable, RedisUnavailable, Unauthenticated
from service.security.claims import Claims
from service.stores.database import Database
from service.stores.pipeline import Pipeline, Script, ScriptCall
from service.stores.rate_limits import LocalRates, SessionRate
from service.stores.revocations import Revocations
from service.stores.revoked import RevokedList, RevokedSession
from service.stores.revoked_keeper import RevokedKeeper
from service.stores.security_events import SecurityEvents
from service.stores.session_rows import SessionRows
from service.stores.sessions import SessionStore, copy_of
from tests.stores.virtual_time import VirtualTimeLoop

START = datetime(2030, 1, 1, tzinfo=UTC)
SESSION_TTL = timedelta(hours=8)
# How long a revocation that Redis lost may go unnoticed: what the documentation grants.
GRACE = 0.5


class FakeRedis:
    """What all processes share, and what may be lost, or replaced by what it was before."""

    def __init__(self, chance: random.Random) -> None:
        self.data: dict[str, str] = {}
        self.snapshots: list[dict[str, str]] = [{}]
        self.lost_something_at = float("-inf")
        self.chance = chance


class FakePipeline:
    """One process's way to it. The scripts are the few lines that they are in Lua."""

    def __init__(self, redis: FakeRedis) -> None:
        self._redis = redis
        self.reachable = True
        self.lost = False

    async def run(self, script: Script, names: Sequence[str], *arguments: Any) -> Any:
        await self._travel()
        data = self._redis.data
        if "known_end" in script.source:
            if data.get(names[0]) != "revoked":
                data[names[0]] = arguments[0].decode()
            self._raise(names[1], arguments[3])
        else:
            self._raise(names[0], arguments[0])
        await self._travel()
        return 1

    async def call(self, call: ScriptCall) -> Any:
        assert "unpack(charged)" in call.source
        await self._travel()
        reply = [self._redis.data.get(str(name)) for name in call.tail[1:3]]
        await self._travel()
        return reply

    async def execute(self, command: str, name: str, value: str, *_: Any) -> Any:
        assert command == "SET"
        await self._travel()
        self._redis.data[name] = value
        await self._travel()

    def _raise(self, name: str, version: int) -> None:
        self._redis.data[name] = str(max(int(self._redis.data.get(name, 0)), version))

    async def _travel(self) -> None:
        """Take some time on the way, or get lost: a command may have run though nobody hears of it."""
        await asyncio.sleep(self._redis.chance.choice([0, 0.001, 0.05]))
        self.lost = not self.reachable
        if not self.reachable:
            await asyncio.sleep(self._redis.chance.choice([0, 0.25]))
            raise RedisUnavailable


@dataclass
class FakeDatabase:
    """Rows, and the order in which their changes became visible."""

    chance: random.Random
    rows: dict[str, Session] = field(default_factory=dict)
    changes: list[tuple[str, Any]] = field(default_factory=list)
    reachable: bool = True
    on_sqlite: bool = True

    async def travel(self) -> None:
        await asyncio.sleep(self.chance.choice([0, 0.002, 0.08]))
        if not self.reachable:
            await asyncio.sleep(0.2)
            raise DatabaseUnavailable


class FakeRows:
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    async def get(self, sid: str) -> Session | None:
        await self._database.travel()
        row = self._database.rows.get(sid)
        found = copy(row) if row is not None and row.revoked_at is None else None
        await self._database.travel()
        return found


class FakeChanges:
    """Stands for the query of the list: what was committed since the last one."""

    def __init__(self, database: FakeDatabase) -> None:
        self._database = database
        self.cursor: int | None = None

    async def next(self, *_: datetime) -> list[Any]:
        await self._database.travel()
        seen, self.cursor = self.cursor or 0, len(self._database.changes)
        found = [change for _, change in self._database.changes[seen:]]
        await asyncio.sleep(self._database.chance.choice([0, 0, 0, 0.6]))
        await self._database.travel()
        return found


class Process:
    def __init__(self, world: "World") -> None:
        time = asyncio.get_running_loop().time
        self.redis = FakePipeline(world.redis)
        self.list = RevokedList(cast(Database, world.database), SESSION_TTL, lambda: START, time)
        self.list._changes = cast(Any, FakeChanges(world.database))
        self.sessions = SessionStore(
            cast(Pipeline, self.redis),
            cast(SessionRows, FakeRows(world.database)),
            self.list,
            SessionRate(LocalRates(1), None),
            SESSION_TTL,
        )
        database = cast(Database, world.database)
        events = SecurityEvents(database, lambda: START)
        self.revocations = Revocations(database, self.sessions, events, time)
        self.keeper = RevokedKeeper(self.list, self.sessions, cast(Pipeline, self.redis), lambda: START)


class World:
    """Everything, with a book of what was acknowledged when."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.redis = FakeRedis(chance)
        self.database = FakeDatabase(chance)
        self.processes = [Process(self) for _ in range(3)]
        self.acknowledged: dict[str, float] = {}
        self.accepted = self.refused = self.overruled = 0

    async def run(self) -> None:
        for process in self.processes:
            await process.keeper.start()
        actors = [*(self._keep_asking() for _ in range(3)), self._keep_revoking(), self._keep_breaking()]
        await asyncio.gather(*actors)
        for process in self.processes:
            await process.keeper.stop()

    async def _keep_asking(self) -> None:
        for _ in range(100):
            await asyncio.sleep(self.chance.choice([0.001, 0.03, 0.1]))
            await self._ask(self.chance.choice(await self._some_session()))

    async def _ask(self, claims: Claims) -> None:
        asked_at = asyncio.get_running_loop().time()
        acknowledged_at = self.acknowledged.get(claims.sid, float("inf"))
        try:
            await self.chance.choice(self.processes).sessions.check(claims)
        except Unauthenticated:
            self.refused += 1
            assert self.database.rows[claims.sid].revoked_at is not None, "a live session was refused"
            return
        except DatabaseUnavailable:
            return
        self.accepted += 1
        redis_lost_it = self.redis.lost_something_at >= acknowledged_at - GRACE
        grace = GRACE if redis_lost_it else 0.0
        # The loss may fall into the time of the question.
        assert asked_at < acknowledged_at + grace, f"accepted {asked_at - acknowledged_at:.3f} s afterwards"

    async def _keep_revoking(self) -> None:
        await asyncio.sleep(0.5)
        revoking = []
        for _ in range(8):
            await asyncio.sleep(self.chance.choice([0, 0.1, 0.4]))
            claims = self.chance.choice(await self._some_session())
            process = self.chance.choice(self.processes)
            revoking.append(asyncio.create_task(self._revoke(process, claims)))
        await asyncio.gather(*revoking)

    async def _revoke(self, process: Process, claims: Claims) -> None:
        row = self.database.rows[claims.sid]
        try:
            await self.database.travel()
        except DatabaseUnavailable:
            return
        row.revoked_at = START
        self.database.changes.append(("session", RevokedSession(row.user_id, row.id, row.expires_at)))
        await process.revocations.bury([row])
        self.acknowledged.setdefault(claims.sid, asyncio.get_running_loop().time())

    async def _keep_breaking(self) -> None:
        breaks: list[Callable[[], Awaitable[None]]] = [
            self._flush,
            self._restore,
            self._snapshot,
            self._snapshot,
            self._evict,
            self._cut_off,
        ]
        for _ in range(12):
            await asyncio.sleep(self.chance.choice([0.01, 0.1, 0.5]))
            await self.chance.choice(breaks)()

    async def _snapshot(self) -> None:
        self.redis.snapshots.append(dict(self.redis.data))

    async def _restore(self) -> None:
        self.redis.data = dict(self.chance.choice(self.redis.snapshots))
        self.redis.lost_something_at = asyncio.get_running_loop().time()

    async def _flush(self) -> None:
        self.redis.data = {}
        self.redis.lost_something_at = asyncio.get_running_loop().time()

    async def _evict(self) -> None:
        if self.redis.data:
            del self.redis.data[self.chance.choice(sorted(self.redis.data))]
            self.redis.lost_something_at = asyncio.get_running_loop().time()

    async def _cut_off(self) -> None:
        """Cut one process off from Redis, or all of them, for a while."""
        cut = self.chance.choice([self.processes[:1], self.processes[1:2], self.processes])
        for process in cut:
            process.redis.reachable = False
        await asyncio.sleep(self.chance.choice([0.1, 1.0]))
        for process in cut:
            process.redis.reachable = True

    async def _some_session(self) -> list[Claims]:
        if not self.database.rows:
            for number in range(6):
                await self._open(number)
        return [self._claims(row) for row in self.database.rows.values()]

    async def _open(self, number: int) -> None:
        user = cast(User, SimpleNamespace(id=1, name="x", user="x", active=True, session_version=1))
        times = {"started_at": START, "expires_at": START + SESSION_TTL, "revoked_at": None}
        row = cast(Session, SimpleNamespace(id=f"{number:032x}", user_id=1, user=user, version=1, **times))
        self.database.rows[row.id] = row
        with suppress(RedisUnavailable):
            await self.processes[0].sessions.put(copy_of(row, user))

    def _claims(self, row: Session) -> Claims:
        return Claims(row.user_id, row.id, row.id, row.version, row.started_at, row.expires_at)


def run(seed: int) -> World:
    loop = VirtualTimeLoop()
    try:

        async def one_history() -> World:
            world = World(random.Random(seed))
            await world.run()
            return world

        return loop.run_until_complete(one_history())
    finally:
        loop.run_until_complete(asyncio.sleep(1))
        loop.close()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_no_acknowledged_revocation_is_accepted_again(seed: int) -> None:
    world = run(seed)

    assert world.accepted + world.refused > 50, "nothing was asked"
