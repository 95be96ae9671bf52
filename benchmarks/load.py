"""Keep a server busy over keep-alive connections, for as little CPU as Python can.

One request is in flight on each connection. Every answer must be a 200 of a stated length.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import cast

from benchmarks.failure import BenchmarkFailure

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_GRACE_SECONDS = 30.0


class Load:
    """Some open connections to one server."""

    def __init__(self, connections: "list[_Connection]") -> None:
        self._connections = connections

    async def drive(self, requests: Iterable[bytes], seconds: float) -> int:
        """Send the requests until they or the seconds end; return how many were answered.

        Raises BenchmarkFailure for any answer that is not a 200, and for a connection that ends.
        """
        loop = asyncio.get_running_loop()
        turn = _Turn(iter(requests), loop.create_future(), len(self._connections))
        bell = loop.call_later(seconds, turn.end)
        try:
            for connection in self._connections:
                connection.begin(turn)
            async with asyncio.timeout(seconds + _GRACE_SECONDS):
                await turn.done
        except TimeoutError as error:
            raise BenchmarkFailure("The server stopped answering.") from error
        finally:
            bell.cancel()
        return turn.answers


@asynccontextmanager
async def connected(port: int, connections: int) -> AsyncIterator[Load]:
    """Open so many connections; close them at the end."""
    loop = asyncio.get_running_loop()
    opened: list[_Connection] = []
    try:
        for _ in range(connections):
            _, connection = await loop.create_connection(_Connection, "127.0.0.1", port)
            opened.append(connection)
        yield Load(opened)
    finally:
        for connection in opened:
            connection.close()


class _Turn:
    """What the connections share while they drive the server."""

    __slots__ = ("_requests", "answers", "busy", "done", "over")

    def __init__(self, requests: Iterator[bytes], done: "asyncio.Future[None]", busy: int) -> None:
        self._requests = requests
        self.done = done
        self.busy = busy
        self.answers = 0
        self.over = False

    def end(self) -> None:
        self.over = True

    def next_request(self) -> bytes | None:
        return None if self.over else next(self._requests, None)

    def leave(self) -> None:
        self.busy -= 1
        if self.busy == 0 and not self.done.done():
            self.done.set_result(None)

    def fail(self, why: str) -> None:
        self.over = True
        if not self.done.done():
            self.done.set_exception(BenchmarkFailure(why))


class _Connection(asyncio.Protocol):
    """Sends a request, counts its answer, sends the next."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._turn: _Turn | None = None
        self._received = b""

    def begin(self, turn: _Turn) -> None:
        self._turn = turn
        self._send_next(turn)

    def close(self) -> None:
        self._turn = None
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        turn = self._turn
        if turn is None:
            return
        self._received = received = self._received + data if self._received else data
        if not _is_whole(received):
            return
        if not received.startswith(b"HTTP/1.1 200 "):
            turn.fail(f"An answer was not a 200: {received[:300]!r}")
            return
        self._received = b""
        turn.answers += 1
        self._send_next(turn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._turn is not None:
            self._turn.fail(f"A connection ended in the middle of a round: {exc}")

    def _send_next(self, turn: _Turn) -> None:
        request = turn.next_request()
        if request is None:
            self._turn = None
            turn.leave()
        else:
            self._transport.write(request)


def _is_whole(received: bytes) -> bool:
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return False
    length = _LENGTH.search(received, 0, head)
    return length is None or len(received) >= head + 4 + int(length[1])
