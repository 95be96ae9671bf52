"""Redis commands in one write per tick: each caller gets its own reply, in time, or RedisUnavailable."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from hiredis import Reader
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from service.errors import RedisUnavailable
from service.stores import outage
from service.stores.pipeline import Pipeline, Script
from tests.stores.fake_server import _served, server_that_says
from tests.stores_in_use import Stores
from tests.timing import assert_within, time_limit

PATIENT = timedelta(seconds=5)
HASTY = timedelta(milliseconds=100)
UNREACHABLE = "redis://127.0.0.1:1/0"
NOBODY_PUSHES = "bo:test:nobody-pushes"


@asynccontextmanager
async def opened(url: str, timeout: timedelta = PATIENT) -> AsyncIterator[Pipeline]:
    pipeline = Pipeline.connect(url, timeout)
    try:
        yield pipeline
    finally:
        await pipeline.close()


async def test_a_command_gets_its_reply(stores: Stores) -> None:
    async with opened(stores.redis_url) as pipeline:
        assert await pipeline.execute("SET", "bo:test:x", "välue", "EX", 60) is True
        assert await pipeline.execute("GET", "bo:test:x") == "välue"
        assert await pipeline.execute("GET", "bo:test:none") is None
        assert await pipeline.execute("ECHO", b"bytes") == "bytes"


async def test_all_commands_of_one_tick_go_in_one_write(stores: Stores) -> None:
    async with opened(stores.redis_url) as pipeline:
        rounds = [await _reads_by_the_server_for(pipeline, commands=50) for _ in range(5)]

    # The least of them: others may speak to the same server.
    assert min(rounds) == 1


async def test_commands_of_later_ticks_do_not_wait_for_a_slow_one(stores: Stores) -> None:
    async with opened(stores.redis_url) as pipeline:
        # Where a connection is open already, the slow command is sent in its own tick, and has it to itself.
        await pipeline.execute("PING")
        slow = asyncio.create_task(pipeline.execute("BLPOP", "bo:test:list", 0))
        await asyncio.sleep(0.01)

        # It ends with this command of a later tick, or with the pipeline's time-out.
        await pipeline.execute("RPUSH", "bo:test:list", "pushed")

        assert await slow == ("bo:test:list", "pushed")


async def test_a_script_that_redis_does_not_know_is_loaded(stores: Stores) -> None:
    script = Script("raise_version")
    async with opened(stores.redis_url) as pipeline:
        await pipeline.execute("SCRIPT", "FLUSH")

        assert await pipeline.run(script, ["bo:test:v"], 3, int(time.time()) + 60) == 1

        assert await pipeline.execute("GET", "bo:test:v") == "3"
        assert await pipeline.execute("SCRIPT", "EXISTS", script.sha) in ([1], [True])


async def test_many_may_find_that_redis_does_not_know_a_script(stores: Stores) -> None:
    script = Script("raise_version")
    async with opened(stores.redis_url) as pipeline:
        await pipeline.execute("SCRIPT", "FLUSH")

        forget = int(time.time()) + 60
        replies = await asyncio.gather(
            *(pipeline.run(script, [f"bo:test:v{number}"], number, forget) for number in range(20))
        )

        assert replies == [1] * 20
        assert await pipeline.execute("GET", "bo:test:v7") == "7"


async def test_an_error_reply_is_its_callers_alone(stores: Stores) -> None:
    async with opened(stores.redis_url) as pipeline:
        await pipeline.execute("SET", "bo:test:text", "text", "EX", 60)

        refused, *others = await asyncio.gather(
            pipeline.execute("INCR", "bo:test:text"),
            *(pipeline.execute("ECHO", number) for number in range(5)),
            return_exceptions=True,
        )

    assert isinstance(refused, RedisUnavailable)
    assert "not an integer" in str(refused.__cause__)
    assert others == ["0", "1", "2", "3", "4"]


async def test_a_script_that_fails_is_unavailable(stores: Stores) -> None:
    async with opened(stores.redis_url) as pipeline:
        with pytest.raises(RedisUnavailable):
            await pipeline.run(Script("raise_version"), ["bo:test:v"], "no number", "no time")


@pytest.mark.parametrize("timeout", [HASTY, timedelta(milliseconds=300)])
async def test_a_silent_server_is_unavailable_to_each_caller_within_the_timeout(timeout: timedelta) -> None:
    async with server_that_says(b"") as url, opened(url, timeout) as pipeline:
        waits = (_time_until_unavailable(pipeline, after=n / 200) for n in range(20))
        longest = max(await asyncio.gather(*waits))

    assert_within(timeout.total_seconds() + 0.3, longest)


async def test_an_unreachable_server_is_unavailable_to_each_caller_at_once() -> None:
    async with opened(UNREACHABLE, HASTY) as pipeline:
        times = await asyncio.gather(*(_time_until_unavailable(pipeline, after=n / 200) for n in range(20)))

    assert_within(HASTY.total_seconds() + 0.3, max(times))


async def test_a_server_that_speaks_another_language_is_unavailable() -> None:
    async with server_that_says(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url, opened(url, HASTY) as pipeline:
        assert_within(HASTY.total_seconds() + 0.3, await _time_until_unavailable(pipeline))


async def test_a_script_is_given_up_after_one_timeout() -> None:
    async with server_that_says(b"") as url, opened(url, HASTY) as pipeline:
        with time_limit(1.9 * HASTY.total_seconds()), pytest.raises(RedisUnavailable):
            await pipeline.run(Script("raise_version"), ["bo:test:v"], 1, 1)


async def test_a_late_reply_is_not_taken_for_that_of_a_later_command(stores: Stores) -> None:
    async with opened(stores.redis_url, HASTY) as pipeline:
        with pytest.raises(RedisUnavailable):
            await pipeline.execute("BLPOP", NOBODY_PUSHES, "0.2")

        replies = {}
        await _back(pipeline)
        for number in range(30):
            with suppress(RedisUnavailable):  # on a machine that stood still
                replies[number] = await pipeline.execute("ECHO", number)
            await asyncio.sleep(0.01)

    assert replies
    assert replies == {number: str(number) for number in replies}


async def test_a_server_that_is_back_is_used_soon(stores: Stores) -> None:
    async with opened(stores.redis_url) as pipeline, _operator(stores) as operator:
        await pipeline.execute("ECHO", "x")
        mine = await pipeline.execute("CLIENT", "ID")
        await operator.client_kill_filter(_id=mine)

        with time_limit(0.5):
            await _back(pipeline)


async def test_a_server_that_was_demoted_is_left_and_no_command_is_lost_with_the_connection(
    own_redis: str,
) -> None:
    async with opened(own_redis) as pipeline:
        await asyncio.gather(*(_slowly(pipeline, after=n / 100) for n in range(4)))
        mine = await pipeline.execute("CLIENT", "ID")
        await pipeline.execute("REPLICAOF", "127.0.0.1", "1")

        # The first one's second command is on its way just as the server is found to be demoted.
        async with asyncio.timeout(2):
            replies, refused = await asyncio.gather(
                _twice(pipeline, "ECHO", "x"), pipeline.execute("SET", "x", "y"), return_exceptions=True
            )

        assert replies == ["x", "x"]
        assert isinstance(refused, RedisUnavailable)
        assert not pipeline.lost
        assert await pipeline.execute("CLIENT", "ID") != mine


async def test_a_command_is_never_sent_twice(stores: Stores) -> None:
    async with opened(stores.redis_url, timedelta(seconds=1)) as pipeline:
        await pipeline.execute("DEL", "bo:test:count")
        with pytest.raises(RedisUnavailable):
            await asyncio.gather(
                pipeline.execute("INCR", "bo:test:count"),
                pipeline.execute("BLPOP", NOBODY_PUSHES, "1.2"),
            )
        await asyncio.sleep(0.3)

        assert await pipeline.execute("GET", "bo:test:count") == "1"
        await pipeline.execute("DEL", "bo:test:count")


@pytest.mark.parametrize("ticks", [0, 1, 2, 3])
async def test_a_caller_that_is_cancelled_disturbs_nobody(stores: Stores, ticks: int) -> None:
    async with opened(stores.redis_url) as pipeline:
        tasks = [asyncio.create_task(pipeline.execute("ECHO", number)) for number in range(10)]
        for _ in range(ticks):
            await asyncio.sleep(0)

        for task in tasks[::3]:
            task.cancel()
        replies = await asyncio.gather(*tasks, return_exceptions=True)

    others = [number for number in range(10) if number % 3]
    assert [replies[number] for number in others] == [str(number) for number in others]


# A command, ticks until it is sent, and ticks until its caller is cancelled.
Mix = list[tuple[str, int, int | None]]
commands = st.tuples(
    st.sampled_from(["ECHO", "SET", "GET"]),
    st.integers(0, 3),
    st.one_of(st.none(), st.none(), st.integers(0, 4)),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(commands, min_size=1, max_size=40))
def test_no_reply_reaches_another_caller(stores: Stores, mix: Mix) -> None:
    asyncio.run(_every_caller_gets_its_own_reply(stores.redis_url, mix))


async def _every_caller_gets_its_own_reply(url: str, mix: Mix) -> None:
    async with opened(url) as pipeline:
        names = [f"bo:test:{number}" for number in range(len(mix))]
        await asyncio.gather(*(pipeline.execute("SET", name, f"at {name}", "EX", 60) for name in names))

        replies = await _replies_to(pipeline, mix, "bo:test")

    assert _astray(replies, mix, "bo:test") == []


class BreakingServer:
    """Knows what is at every name; may end a connection in the middle of what it says."""

    def __init__(self) -> None:
        self.bytes_left: int | None = None  # until the connection ends that the last of them goes over
        self.executed = Counter[tuple[bytes, ...]]()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = Reader()
        while received := await reader.read(65536):
            commands.feed(received)
            said = b""
            while command := commands.gets():
                said += self._reply_to(*command)
            if self.bytes_left is not None and self.bytes_left < len(said):
                writer.write(said[: self.bytes_left])
                self.bytes_left = None
                break
            if self.bytes_left is not None:
                self.bytes_left -= len(said)
            writer.write(said)
        writer.close()

    def _reply_to(self, name: bytes, *arguments: bytes) -> bytes:
        self.executed[name, *arguments] += 1
        if name not in {b"ECHO", b"GET"}:
            return b"+OK\r\n"
        said = b"at " * (name == b"GET") + arguments[0]
        return b"$%d\r\n%b\r\n" % (len(said), said)


@asynccontextmanager
async def breaking_server() -> AsyncIterator[tuple[BreakingServer, Pipeline]]:
    server = BreakingServer()
    async with _served(server.answer) as port, opened(f"redis://127.0.0.1:{port}/0?protocol=2") as pipeline:
        yield server, pipeline


async def test_a_command_whose_connection_ended_is_not_sent_again() -> None:
    async with breaking_server() as (server, pipeline):
        await pipeline.execute("ECHO", "x")
        server.bytes_left = 3

        with pytest.raises(RedisUnavailable):
            await pipeline.execute("INCR", "bo:test:count")
        await _back(pipeline)

    assert server.executed[b"INCR", b"bo:test:count"] == 1


def test_no_reply_reaches_another_caller_though_connections_end_in_the_middle_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outage, "_PAUSE_SECONDS", 0.002)
    unavailable = Counter[bool]()

    @settings(deadline=None, max_examples=40)
    @given(
        st.lists(commands, min_size=10, max_size=40), st.lists(st.integers(0, 200), min_size=1, max_size=3)
    )
    def compare(mix: Mix, ends: list[int]) -> None:
        unavailable.update(asyncio.run(_every_caller_gets_its_own_reply_or_none(mix, ends)))

    compare()

    assert min(unavailable[True], unavailable[False]) > 100, "nothing was told, or nothing else"


async def _every_caller_gets_its_own_reply_or_none(mix: Mix, ends: list[int]) -> list[bool]:
    """Return of each call whether it was told that Redis is unavailable."""
    told = []
    async with breaking_server() as (server, pipeline):
        # Once more in the end: what was late for those before must not reach them.
        for number, end in enumerate([*ends, None]):
            await _back(pipeline)
            server.bytes_left = end
            replies = await _replies_to(pipeline, mix, str(number))
            server.bytes_left = None
            assert _astray(replies, mix, str(number), RedisUnavailable) == []
            told += [isinstance(reply, RedisUnavailable) for reply in replies]
    return told


async def _replies_to(pipeline: Pipeline, mix: Mix, prefix: str) -> list[Any]:
    tasks = [
        asyncio.create_task(_one(pipeline, kind, f"{prefix}:{number}", ticks))
        for number, (kind, ticks, _) in enumerate(mix)
    ]
    await asyncio.gather(*(_cancel(task, when) for task, (*_, when) in zip(tasks, mix, strict=True)))
    async with asyncio.timeout(2 * PATIENT.total_seconds()):
        return await asyncio.gather(*tasks, return_exceptions=True)


def _astray(
    replies: list[Any], mix: Mix, prefix: str, *faults: type[Exception]
) -> list[tuple[str, str, Any]]:
    """Return the replies that are not their callers' own, but for faults that a caller may be told."""
    astray = []
    for number, (reply, (kind, _, cancelled)) in enumerate(zip(replies, mix, strict=True)):
        name = f"{prefix}:{number}"
        own = {"ECHO": name, "SET": True, "GET": f"at {name}"}[kind]
        instead = faults if cancelled is None else (*faults, asyncio.CancelledError)
        if reply != own and not isinstance(reply, instead):
            astray.append((kind, name, reply))
    return astray


async def _one(pipeline: Pipeline, kind: str, name: str, ticks: int) -> Any:
    for _ in range(ticks):
        await asyncio.sleep(0)
    if kind == "SET":
        return await pipeline.execute("SET", name, f"at {name}", "EX", 60)
    return await pipeline.execute(kind, name)


async def _cancel(task: asyncio.Task[Any], ticks: int | None) -> None:
    if ticks is None:
        return
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()


async def _back(pipeline: Pipeline) -> None:
    """Wait until the pipeline has found out that the server answers again."""
    async with asyncio.timeout(2):
        while True:
            with suppress(RedisUnavailable):
                await pipeline.execute("ECHO", "x")
                return
            await asyncio.sleep(0.02)


async def _time_until_unavailable(pipeline: Pipeline, after: float = 0.0) -> float:
    await asyncio.sleep(after)
    begun = time.monotonic()
    with pytest.raises(RedisUnavailable):
        await pipeline.execute("ECHO", "x")
    return time.monotonic() - begun


async def _slowly(pipeline: Pipeline, after: float) -> None:
    await asyncio.sleep(after)
    await pipeline.execute("BLPOP", NOBODY_PUSHES, "0.1")


async def _twice(pipeline: Pipeline, name: str, argument: str) -> list[Any]:
    return [await pipeline.execute(name, argument) for _ in range(2)]


async def _reads_by_the_server_for(pipeline: Pipeline, *, commands: int) -> int:
    before = await _reads(pipeline)
    await asyncio.gather(*(pipeline.execute("ECHO", number) for number in range(commands)))
    # The second question is a read as well.
    return await _reads(pipeline) - before - 1


async def _reads(pipeline: Pipeline) -> int:
    statistics: dict[str, int] = await pipeline.execute("INFO", "stats")
    return statistics["total_reads_processed"]


@asynccontextmanager
async def _operator(stores: Stores) -> AsyncIterator[Redis]:
    operator = Redis.from_url(stores.redis_url)
    try:
        yield operator
    finally:
        await operator.aclose()
