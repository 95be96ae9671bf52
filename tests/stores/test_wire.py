"""Replies as they come over one connection: in pieces, unasked for, too many, no text."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from service.errors import RedisUnavailable
from tests.stores.fake_server import server_that_answers
from tests.stores.test_pipeline import NOBODY_PUSHES, opened
from tests.stores_in_use import Stores
from tests.timing import time_limit


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


async def test_a_reply_may_come_in_pieces() -> None:
    def in_pieces(text: bytes) -> Sequence[bytes]:
        reply = bulk(text)
        return [reply[:1], reply[1:6], reply[6:]]

    async with server_that_answers(in_pieces) as url, opened(url) as pipeline:
        assert await pipeline.execute("ECHO", "välue") == "välue"


async def test_a_push_is_nobodys_reply() -> None:
    push = b">2\r\n+invalidate\r\n*1\r\n+key\r\n"

    async with server_that_answers(lambda text: [push + bulk(text) + push]) as url, opened(url) as pipeline:
        replies = await asyncio.gather(*(pipeline.execute("ECHO", number) for number in range(5)))

    assert replies == ["0", "1", "2", "3", "4"]


async def test_a_reply_too_many_reaches_nobody() -> None:
    def twice(text: bytes) -> Sequence[bytes]:
        return [bulk(text), bulk(b"whose is this?")]

    async with server_that_answers(twice) as url, opened(url) as pipeline:
        replies = []
        for number in range(5):
            replies.append(await pipeline.execute("ECHO", number))
            await asyncio.sleep(0.02)

    assert replies == ["0", "1", "2", "3", "4"]


async def test_a_reply_that_is_not_redis_language_ends_in_time() -> None:
    async with server_that_answers(lambda _: [b"?\r\n"]) as url, opened(url) as pipeline:
        with time_limit(1), pytest.raises(RedisUnavailable):
            await pipeline.execute("ECHO", "x")


async def test_what_is_no_text_is_marked_as_such(stores: Stores) -> None:
    async with opened(stores.redis_url) as pipeline:
        await pipeline.execute("SET", "bo:test:bytes", b"a\xffb", "EX", 60)

        assert await pipeline.execute("GET", "bo:test:bytes") == "a\ufffdb"


async def test_who_finds_every_connection_busy_waits_for_one(stores: Stores) -> None:
    async with opened(stores.redis_url) as pipeline:
        slow = []
        for _ in range(6):
            slow.append(asyncio.create_task(pipeline.execute("BLPOP", NOBODY_PUSHES, "0.2")))
            await asyncio.sleep(0.01)

        assert await pipeline.execute("ECHO", "after all") == "after all"
        assert await asyncio.gather(*slow) == [None] * 6


async def test_who_waits_for_a_connection_waits_no_longer_than_the_timeout(stores: Stores) -> None:
    timeout = timedelta(milliseconds=150)
    async with opened(stores.redis_url, timeout) as pipeline:
        await pipeline.execute("ECHO", "x")
        slow = [asyncio.create_task(pipeline.execute("BLPOP", NOBODY_PUSHES, "5")) for _ in range(4)]
        for _ in range(4):
            await asyncio.sleep(0.01)
            slow.append(asyncio.create_task(pipeline.execute("BLPOP", NOBODY_PUSHES, "5")))

        with time_limit(2 * timeout.total_seconds()):
            outcomes = await asyncio.gather(*slow, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {RedisUnavailable}


async def test_a_pipeline_closed_in_the_middle_leaves_nobody_waiting(stores: Stores) -> None:
    async with opened(stores.redis_url) as pipeline:
        await pipeline.execute("ECHO", "x")
        slow = asyncio.create_task(pipeline.execute("BLPOP", NOBODY_PUSHES, "5"))
        await asyncio.sleep(0.01)

    async with asyncio.timeout(1):
        with pytest.raises(RedisUnavailable):
            await slow
