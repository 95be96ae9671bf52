"""Send all Redis commands of one event-loop tick in one write."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from service.errors import RedisUnavailable
from service.uncancelled import in_background

Argument = str | int | bytes
_CONNECTIONS = 4
_LUA = Path(__file__).parent / "lua"
# Under uvloop a dying server can surface as a RuntimeError of the closed transport.
_FAULTS = (RedisError, OSError, TimeoutError, RuntimeError)


class Script:
    """A Lua script of the `lua` folder; Redis knows it by the SHA-1 of its source."""

    def __init__(self, name: str) -> None:
        self.source = (_LUA / f"{name}.lua").read_text()
        self.sha = Redis().register_script(self.source).sha


class Pipeline:
    """Redis, as the stores see it: one reply per command, or RedisUnavailable.

    A command is sent once and never again: a time-out does not tell whether it ran. The one exception is a
    script that Redis answers it does not know, and so did not run.
    """

    def __init__(self, redis: "Redis", timeout: timedelta) -> None:
        self._redis = redis
        self._timeout = timeout.total_seconds()
        self._waiting: list[tuple[Sequence[Argument], asyncio.Future[Any]]] = []

    @classmethod
    def connect(cls, url: str, timeout: timedelta) -> Self:
        """Prepare a pipeline to the server at the URL; the first command opens a connection."""
        seconds = timeout.total_seconds()
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=seconds,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        return cls(Redis.from_pool(pool), timeout)

    async def close(self) -> None:
        await self._redis.aclose()

    async def execute(self, *command: Argument) -> Any:
        """Run one command; an error reply (a full or read-only Redis) is RedisUnavailable as well."""
        reply = await self._reply(command)
        if isinstance(reply, ResponseError):
            raise RedisUnavailable from reply
        return reply

    async def run(self, script: Script, keys: Sequence[str], *arguments: Argument) -> Any:
        """Run a script over the keys, loading it where Redis does not know it yet."""
        tail = (len(keys), *keys, *arguments)
        reply = await self._reply(("EVALSHA", script.sha, *tail))
        if isinstance(reply, NoScriptError):
            return await self.execute("EVAL", script.source, *tail)
        if isinstance(reply, ResponseError):
            raise RedisUnavailable from reply
        return reply

    async def _reply(self, command: Sequence[Argument]) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((command, future))
        if len(self._waiting) == 1:
            loop.call_soon(self._flush)
        return await future

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        in_background(self._send(batch))

    async def _send(self, batch: Sequence[tuple[Sequence[Argument], asyncio.Future[Any]]]) -> None:
        """Run a batch in a task of its own, which no request can cancel in the middle of a reply."""
        pipe = self._redis.pipeline(transaction=False)
        for command, _ in batch:
            pipe.execute_command(*command)
        try:
            async with asyncio.timeout(self._timeout):
                replies = await pipe.execute(raise_on_error=False)
        except _FAULTS as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(_unavailable(error))
            return
        for (_, future), reply in zip(batch, replies, strict=True):
            if not future.done():
                future.set_result(reply)


def _unavailable(cause: BaseException) -> RedisUnavailable:
    error = RedisUnavailable()
    error.__cause__ = cause
    return error
