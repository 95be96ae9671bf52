"""Keep logins in flight: a crowd of clients, each of which tries again as soon as it may."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from benchmarks.failure import BenchmarkFailure

_BUILD_UP_SECONDS = 0.5
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    retry_after: int | None  # seconds


@dataclass(slots=True)
class Crowd:
    """How long the refusals took so far, and whether it is time to go."""

    refusals: list[float] = field(default_factory=list)  # seconds
    gone: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def crowd(
    port: int, requests: Sequence[bytes], impatience: float | None = None
) -> AsyncIterator[Crowd]:
    """Repeat each request over a connection of its own; at the end, wait for what is still to be answered.

    Who is refused comes again after so many seconds of impatience; or else when Retry-After says so and up
    to a second later, as the clients of docs/clients.md do, so that not all come at once.
    """
    people = Crowd()
    async with asyncio.TaskGroup() as tasks:
        for request in requests:
            tasks.create_task(_insist(port, request, impatience, people))
        try:
            await asyncio.sleep(_BUILD_UP_SECONDS)
            yield people
        finally:
            people.gone.set()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> Answer:
    """Send a request and read the whole answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(_number(_LENGTH, head) or 0)
    return Answer(_number(_STATUS, head) or 0, _number(_RETRY_AFTER, head))


async def _insist(port: int, request: bytes, impatience: float | None, people: Crowd) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while not people.gone.is_set():
            begun = time.perf_counter()
            answer = await ask(reader, writer, request)
            if answer.status == 200:
                continue
            if answer.status != 503 or answer.retry_after is None:
                raise BenchmarkFailure(
                    f"A login was answered neither by a token nor by when to ask: {answer}"
                )
            people.refusals.append(time.perf_counter() - begun)
            with suppress(TimeoutError):
                wait = answer.retry_after + random.random()
                await asyncio.wait_for(people.gone.wait(), impatience or wait)
    finally:
        writer.close()


def _number(pattern: "re.Pattern[bytes]", head: bytes) -> int | None:
    match = pattern.search(head)
    return match and int(match[1])
