"""However slowly a client sends or reads, the service waits for it so long and no longer."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.app import create_app
from service.settings import Rate, Settings
from tests.backoffice import Backoffice
from tests.conftest import FakeClock, Running
from tests.flows.test_framings import (
    CHUNKED,
    CREDENTIALS,
    HEADERS,
    HOST,
    LENGTH,
    LIVE,
    LOGIN,
    Answered,
    connect,
    read_answer,
    send,
)
from tests.timing import assert_within, time_limit

PATIENCE_SECONDS = 0.6
# The service looks once a second, and this machine may be busy.
AT_MOST_SECONDS = PATIENCE_SECONDS + 2.5
DOCUMENT = b"GET /docs/openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"

StartHasty = Callable[..., Awaitable[Backoffice]]


@pytest.fixture
def start_hasty(sanic_client: Any, settings: Settings, clock: FakeClock) -> StartHasty:
    """Start the service with the same patience for everything, and little of it."""

    async def start(**changes: Any) -> Backoffice:
        app = create_app(replace(settings, **changes), clock)
        app.config.update(
            REQUEST_TIMEOUT=PATIENCE_SECONDS,
            RESPONSE_TIMEOUT=PATIENCE_SECONDS,
            KEEP_ALIVE_TIMEOUT=PATIENCE_SECONDS,
        )
        return Running(await sanic_client(app, verify=False)).client

    return start


async def drip(client: Backoffice, begin: bytes, rest: bytes) -> Answered | None:
    """Send the beginning of a request, then a byte at a time, too few to finish; return what is answered."""
    async with connected(client) as (reader, writer):
        writer.write(begin)
        answer = asyncio.create_task(read_answer(reader, within=AT_MOST_SECONDS))
        for byte in rest:
            if answer.done():
                break
            await asyncio.sleep(0.1)
            writer.write(bytes([byte]))
        answered = await answer
        # And it is closed: by a reset, if a byte was still on its way.
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        return answered


@asynccontextmanager
async def connected(client: Backoffice) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await connect(client)
    try:
        yield reader, writer
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("begin", "rest"),
    [
        (b"GET /health", 100 * b"y"),
        (LIVE + HOST, 100 * b"X"),
        (LOGIN + LENGTH + b"\r\n", CREDENTIALS[:-1] + 40 * b" "),
        (LOGIN + LENGTH + b"Content-Encoding: x\r\n\r\n" + CREDENTIALS[:-1], b""),
        (LOGIN + CHUNKED + b"\r\n", b"1\r\n{\r\n" * 10),
        (LOGIN + CHUNKED + b"\r\n", b""),
    ],
    ids=["a line", "a head", "a body", "most of a body", "chunks", "no chunk"],
)
async def test_a_request_that_is_not_whole_in_time_gets_408_whatever_drips_in(
    start_hasty: StartHasty, begin: bytes, rest: bytes
) -> None:
    client = await start_hasty()
    begun = time.monotonic()

    answered = await drip(client, begin, rest)

    assert answered is not None
    assert (answered.status, json.loads(answered.body)) == (408, {"message": "Request Timeout."})
    assert {field: answered.headers[field] for field in HEADERS} == HEADERS
    assert answered.headers["connection"] == "close"
    assert_within(AT_MOST_SECONDS, time.monotonic() - begun)


async def test_who_is_too_slow_gets_408_and_not_a_429_for_asking_too_often(start_hasty: StartHasty) -> None:
    client = await start_hasty(limit_network=Rate(1, timedelta(seconds=1), 1))

    answers = await asyncio.gather(*(drip(client, b"GET /nothing", b"") for _ in range(10)))

    assert [answered and answered.status for answered in answers] == [408] * 10


async def test_the_second_request_of_a_connection_has_as_much_time_as_the_first(
    start_hasty: StartHasty,
) -> None:
    client = await start_hasty()
    async with connected(client) as (reader, writer):
        for _ in range(4):
            with time_limit(0.9 * PATIENCE_SECONDS):
                writer.write(LIVE)
                await asyncio.sleep(PATIENCE_SECONDS / 2)
                writer.write(HOST + b"\r\n")

            answered = await read_answer(reader)

            assert answered is not None
            assert answered.status == 200


@pytest.mark.parametrize("begin", [b"", LIVE + HOST + b"\r\n"], ids=["from the start", "after an answer"])
async def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(
    start_hasty: StartHasty, begin: bytes
) -> None:
    client = await start_hasty()
    async with connected(client) as (reader, writer):
        writer.write(begin)
        if begin:
            await read_answer(reader)

        async with asyncio.timeout(AT_MOST_SECONDS):
            assert await reader.read() == b""


async def test_a_client_that_does_not_read_its_answers_is_cut_off(start_hasty: StartHasty) -> None:
    client = await start_hasty()
    async with connected(client) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        asking = asyncio.wait_for(ask_for_ever(writer), timeout=1.5 * AT_MOST_SECONDS)

        with pytest.raises(ConnectionError):
            await asking


async def ask_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(100 * DOCUMENT)
        await writer.drain()
        await asyncio.sleep(0.01)


async def test_a_whole_request_is_not_in_the_way_of_half_a_one_behind_it(start_hasty: StartHasty) -> None:
    client = await start_hasty()

    given, _ = await send(client, LIVE + HOST + b"\r\n" + LIVE)

    assert [answered.status for answered in given] == [200]
