"""Offer a server a fixed rate, whatever it makes of it, and time the answers."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from benchmarks.failure import BenchmarkFailure

_TICK_SECONDS = 0.001
_GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Paced:
    rate: float  # answers per second
    p50_ms: float
    p99_ms: float


async def paced(port: int, requests: Iterator[bytes], rate: float, seconds: float, connections: int) -> Paced:
    """Send so many requests a second, each over a connection that is free.

    A request that finds none free waits, and its wait counts: a slow server cannot slow its clients down.
    """
    loop = asyncio.get_running_loop()
    pacer = _Pacer(requests)
    try:
        for _ in range(connections):
            await loop.create_connection(lambda: _Connection(pacer), "127.0.0.1", port)
        begun, sent = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - begun) < seconds:
            for _ in range(int(elapsed * rate) - sent):
                pacer.send()
                sent += 1
            await asyncio.sleep(_TICK_SECONDS)
        # What the server is behind by, it has not answered in time.
        answers = len(pacer.times)
        await pacer.all_answered()
    finally:
        pacer.close()
    return Paced(answers / elapsed, *_quantiles(pacer.times))


class _Pacer:
    """What the connections share: who is free, and what waits for that."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.times: list[float] = []
        self.error: str | None = None
        self._requests = requests
        self._free: list[_Connection] = []
        self._waiting: deque[float] = deque()
        self._all: list[_Connection] = []

    def joined(self, connection: "_Connection") -> None:
        self._all.append(connection)
        self._free.append(connection)

    def send(self) -> None:
        now = time.perf_counter()
        if self._free:
            self._free.pop().send(next(self._requests), now)
        else:
            self._waiting.append(now)

    def answered(self, connection: "_Connection", due: float) -> None:
        self.times.append(time.perf_counter() - due)
        if self._waiting:
            connection.send(next(self._requests), self._waiting.popleft())
        else:
            self._free.append(connection)

    async def all_answered(self) -> None:
        end = time.monotonic() + _GRACE_SECONDS
        while len(self._free) < len(self._all):
            if self.error is not None or time.monotonic() > end:
                raise BenchmarkFailure(self.error or "The server stopped answering.")
            await asyncio.sleep(_TICK_SECONDS)

    def close(self) -> None:
        for connection in self._all:
            connection.close()


class _Connection(asyncio.Protocol):
    """Sends a request and says when its answer was there. Our answers come in one piece."""

    def __init__(self, pacer: _Pacer) -> None:
        self._pacer = pacer
        self._transport: asyncio.Transport
        self._due = 0.0

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._pacer.joined(self)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 200 "):
            self._pacer.answered(self, self._due)
        else:
            self._pacer.error = f"An answer was not a 200: {data[:300]!r}"


def _quantiles(times: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(times)
    return ordered[len(ordered) // 2] * 1000, ordered[len(ordered) * 99 // 100] * 1000
