"""Exchange commands and replies with Redis over one connection, a batch at a time."""
# mypy: untyped-calls-exclude="redis"

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from hiredis import HiredisError, PushNotification, Reader
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ResponseError

from service.errors import RedisUnavailable
from service.telemetry.metrics import REDIS_SECONDS
from service.uncancelled import in_background

Call = tuple[bytes, "asyncio.Future[Any]"]  # a packed command, and who waits for the reply
_INCOMPLETE = object()
_LAST_CHANCE_SECONDS = 0.002


class Wire(asyncio.Protocol):
    """A connection that redis-py opens: it finds the server, authenticates and encrypts.

    The replies are read here, as they arrive. redis-py awaits several things for each of them, and that was
    a third of what a request cost.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        on_idle: "Callable[[Wire], None]",
        on_end: "Callable[[Wire, Exception | None], None]",  # the error, if anybody was waiting
    ) -> None:
        self._connection = connection
        self._on_idle = on_idle
        self._on_end = on_end
        # We write text only; what somebody else wrote is for the caller to refuse.
        self._reader = Reader(
            encoding="utf-8", errors="replace", replyError=ResponseError, notEnoughData=_INCOMPLETE
        )
        self._callers: deque[asyncio.Future[Any]] = deque()
        self._bell: asyncio.TimerHandle | None = None
        self._sent_at = 0.0
        self._ended = False

    async def open(self) -> None:
        """Connect, or raise what redis-py or the system does."""
        await self._connection.connect()
        if await self._connection.can_read():
            raise ConnectionLost("The server said something that nobody asked for.")
        # redis-py has no public name for it.
        writer = cast(asyncio.StreamWriter, self._connection._writer)  # noqa: SLF001
        self._transport = cast(asyncio.Transport, writer.transport)
        self._streams = cast(asyncio.Protocol, self._transport.get_protocol())
        self._transport.set_protocol(self)

    async def close(self) -> None:
        self._end(ConnectionLost("The connection was closed here."))
        await self._connection.disconnect()

    def send(self, calls: Sequence[Call], deadline: float) -> None:
        """Write the commands at once. Every caller gets its reply; after the deadline, RedisUnavailable."""
        commands, callers = zip(*calls, strict=True)
        self._callers.extend(callers)
        loop = asyncio.get_running_loop()
        self._bell = loop.call_at(deadline, self._listen_once_more)
        self._sent_at = time.perf_counter()
        try:
            self._transport.write(b"".join(commands))
        except RuntimeError as error:  # uvloop's, of a transport that has just been closed
            self._end(error)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _INCOMPLETE:
                # A push is nobody's reply.
                if type(reply) is not PushNotification:
                    answer(self._callers.popleft(), reply)
        # The latter: more replies than commands, so whose are they?
        except (HiredisError, IndexError) as error:
            self._end(error)
        if self._bell is not None and not self._callers:
            self._silence()
            self._on_idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        # Whoever closes a redis-py connection waits until its own protocol has heard of the end.
        self._streams.connection_lost(exc)
        self._end(exc or ConnectionLost("Redis closed the connection."))

    def _end(self, error: Exception) -> None:
        """Never use this wire again: a late reply would be taken for that of another command."""
        if self._ended:
            return
        self._ended = True
        self._silence()
        self._transport.abort()
        in_background(self._connection.disconnect(nowait=True))
        callers, self._callers = self._callers, deque()
        for caller in callers:
            fail(caller, error)
        self._on_end(self, error if callers else None)

    def _listen_once_more(self) -> None:
        # A busy loop may come to the bell before it reads what has arrived long since.
        late = TimeoutError("Redis did not answer in time.")
        self._bell = asyncio.get_running_loop().call_later(_LAST_CHANCE_SECONDS, self._end, late)

    def _silence(self) -> None:
        if self._bell is not None:
            REDIS_SECONDS.observe(time.perf_counter() - self._sent_at)
            self._bell.cancel()
            self._bell = None


def answer(caller: "asyncio.Future[Any]", reply: Any) -> None:
    if not caller.done():  # it was cancelled meanwhile
        caller.set_result(reply)


def fail(caller: "asyncio.Future[Any]", cause: BaseException) -> None:
    if not caller.done():
        error = RedisUnavailable()
        error.__cause__ = cause
        caller.set_exception(error)
