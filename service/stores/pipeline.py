"""Send all Redis commands of one event-loop tick in one write."""
# mypy: untyped-calls-exclude="redis"

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from hiredis import pack_command
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from service.errors import RedisUnavailable
from service.stores.outage import Outage
from service.stores.wire import Call, Wire, fail
from service.uncancelled import in_background

Argument = str | int | bytes
_CONNECTIONS = 4
_LUA = Path(__file__).parent / "lua"
# Under uvloop a dying server can surface as a RuntimeError of the closed transport.
_FAULTS = (RedisError, OSError, TimeoutError, RuntimeError)
_LOOK_AGAIN_SECONDS = 1.0


class Commands(Protocol):
    """Redis, however it is arranged: one reply per command, or RedisUnavailable."""

    @property
    def lost(self) -> bool:
        """Whether Redis, or a part of it, did not answer lately, and has not since."""

    async def execute(self, name: str, *arguments: Argument) -> Any:
        """Run one command, whose first argument is its key, if it has one."""

    async def run(self, script: "Script", keys: Sequence[str], *arguments: Argument) -> Any:
        """Run a script over keys that share a hash tag."""

    async def call(self, call: "ScriptCall") -> Any:
        """Likewise, with what was prepared before."""

    async def close(self) -> None: ...


async def answers(redis: Commands) -> bool:
    """Whether Redis answers at this moment."""
    try:
        await redis.execute("PING")
    except RedisUnavailable:
        return False
    return True


class Script:
    """A Lua script: files of the `lua` folder, one after the other. Redis knows it by its SHA-1."""

    def __init__(self, *names: str) -> None:
        self.source = "\n".join((_LUA / f"{name}.lua").read_text() for name in names)
        self.sha = Redis().register_script(self.source).sha

    def on(self, keys: Sequence[str], *arguments: Argument) -> "ScriptCall":
        """Prepare a call, which may be made any number of times."""
        tail = (len(keys), *keys, *arguments)
        return ScriptCall(_packed("EVALSHA", self.sha, *tail), self.source, tail)


class ScriptCall(NamedTuple):
    """A script with its keys and arguments, packed as it is sent."""

    packed: bytes
    source: str
    tail: tuple[Argument, ...]


class Pipeline:
    """Redis, as the stores see it: one reply per command, or RedisUnavailable.

    A command is sent once and never again: a time-out does not tell whether it ran. The one exception is a
    script that Redis answers it does not know, and so did not run. After a fault every command fails at once
    until Redis answers a PING again, so a dead Redis costs a request one time-out at most.
    """

    def __init__(self, redis: "Redis", timeout: timedelta) -> None:
        self._redis = redis
        self._timeout = timeout.total_seconds()
        self._waiting: list[Call] = []
        self._deadline = 0.0  # of those who wait
        self._wires: set[Wire] = set()
        self._idle: list[Wire] = []
        self._opening: asyncio.Task[None] | None = None
        self._outage = Outage("redis", self._ping, _FAULTS)
        self._looked_at = float("-inf")

    @classmethod
    def connect(cls, url: str, timeout: timedelta) -> Self:
        """Prepare a pipeline to the server at the URL; the first command opens a connection."""
        pool = BlockingConnectionPool.from_url(url, **options(timeout))
        return cls(Redis.from_pool(pool), timeout)

    @property
    def lost(self) -> bool:
        """Whether Redis did not answer lately, and has not since."""
        return self._outage.lasts

    async def close(self) -> None:
        if self._opening is not None:
            await self._opening
        for wire in list(self._wires):
            await wire.close()
        self._outage.close()
        await self._redis.aclose()

    async def execute(self, name: str, *arguments: Argument) -> Any:
        """Run one command; an error reply (a full or read-only Redis) is RedisUnavailable as well."""
        reply = self._good(await self._reply(_packed(name, *arguments)))
        read = self._redis.response_callbacks.get(name)
        return reply if read is None else read(reply)

    async def run(self, script: Script, keys: Sequence[str], *arguments: Argument) -> Any:
        """Run a script over the keys, loading it where Redis does not know it yet."""
        return await self.call(script.on(keys, *arguments))

    async def call(self, call: ScriptCall) -> Any:
        """Likewise, with what was prepared before."""
        reply = await self._reply(call.packed)
        if isinstance(reply, ResponseError) and str(reply).startswith("NOSCRIPT"):
            reply = await self._reply(_packed("EVAL", call.source, *call.tail))
        return self._good(reply)

    def _good(self, reply: Any) -> Any:
        if not isinstance(reply, ResponseError):
            return reply
        if str(reply).startswith("READONLY"):
            self._look_for_the_primary()
        raise RedisUnavailable from reply

    def _look_for_the_primary(self) -> None:
        """Connect anew, now and then, to a server that was demoted: another may be found under its name."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at > _LOOK_AGAIN_SECONDS:
            self._looked_at = now
            # Out at once: until it is closed, a wire could be busy again, and what waits be lost with it.
            idle, self._idle = self._idle, []
            self._wires.difference_update(idle)
            for wire in idle:
                in_background(wire.close())

    def _reply(self, command: bytes) -> "asyncio.Future[Any]":
        """Queue a command for this tick's batch; the reply may be an error of Redis."""
        if self._outage.lasts:
            raise RedisUnavailable from self._outage.cause
        loop = asyncio.get_running_loop()
        caller: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((command, caller))
        if len(self._waiting) == 1:
            self._deadline = loop.time() + self._timeout
            loop.call_soon(self._flush)
        return caller

    def _flush(self) -> None:
        """Send what waits, if a wire is idle; else it waits for one, and for what comes meanwhile."""
        if self._waiting and self._idle:
            calls, self._waiting = self._waiting, []
            self._idle.pop().send(calls, self._deadline)
        elif self._waiting and self._opening is None and len(self._wires) < _CONNECTIONS:
            self._opening = in_background(self._open())

    async def _open(self) -> None:
        connection = self._redis.connection_pool.make_connection()
        wire = Wire(connection, self._idle_again, self._ended)
        try:
            async with asyncio.timeout(self._timeout):
                await wire.open()
        except _FAULTS as error:
            await connection.disconnect(nowait=True)
            self._lost(error)
        else:
            self._wires.add(wire)
            self._idle_again(wire)
        finally:
            self._opening = None

    def _idle_again(self, wire: Wire) -> None:
        self._idle.append(wire)
        self._flush()

    def _ended(self, wire: Wire, error: Exception | None) -> None:
        self._wires.discard(wire)
        if wire in self._idle:
            self._idle.remove(wire)
        if error is not None:
            self._lost(error)

    def _lost(self, error: BaseException) -> None:
        self._outage.begin(error)
        calls, self._waiting = self._waiting, []
        for _, caller in calls:
            fail(caller, error)

    async def _ping(self) -> None:
        async with asyncio.timeout(self._timeout):
            await self._redis.ping()


def options(timeout: timedelta) -> dict[str, Any]:
    """Give redis-py's options for a connection: bounded in time, and nothing is tried a second time."""
    seconds = timeout.total_seconds()
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": Retry(NoBackoff(), 0)}


def _packed(*command: Argument) -> bytes:
    packed: bytes = pack_command(command)  # type: ignore[arg-type]  # its stub allows for one argument only
    return packed
