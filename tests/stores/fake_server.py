"""A server in Redis' place that does not do what Redis does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from hiredis import Reader

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server_that_says(reply: bytes) -> AsyncIterator[str]:
    """Listen, and answer whatever is sent by the same bytes, or by silence; give the URL."""
    writers = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while await reader.read(65536):
            writer.write(reply)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


@asynccontextmanager
async def server_that_repeats() -> AsyncIterator[str]:
    """Let clients connect, and know none of their commands: Redis' answer to that repeats the arguments."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = Reader()
        while received := await reader.read(65536):
            commands.feed(received)
            while command := commands.gets():
                said = b" ".join(command).translate(None, b"\r\n")
                known = command[0] in {b"CLIENT", b"SELECT", b"PING"}
                writer.write(b"+OK\r\n" if known else b"-ERR unknown command: " + said + b"\r\n")
        writer.close()

    async with _served(answer) as port:
        yield f"redis://127.0.0.1:{port}/0?protocol=2"


@asynccontextmanager
async def server_that_answers(reply_to: Callable[[bytes], Sequence[bytes]]) -> AsyncIterator[str]:
    """Speak Redis' protocol; say what is to be said to each ECHO, with a pause between two pieces."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = Reader()
        while received := await reader.read(65536):
            commands.feed(received)
            while command := commands.gets():
                for piece in reply_to(command[1]) if command[0] == b"ECHO" else [b"+OK\r\n"]:
                    writer.write(piece)
                    await asyncio.sleep(0.005)
        writer.close()

    async with _served(answer) as port:
        yield f"redis://127.0.0.1:{port}/0?protocol=2"


@asynccontextmanager
async def _served(answer: Answer) -> AsyncIterator[int]:
    """Listen, give the port, and in the end wait for every conversation: Python 3.11 does not by itself."""
    conversations: set[asyncio.Task[None] | None] = set()

    async def kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.add(asyncio.current_task())
        await answer(reader, writer)

    server = await asyncio.start_server(kept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if talking := [task for task in conversations if task is not None]:
            await asyncio.wait(talking, timeout=1)
        await asyncio.sleep(0)  # their transports are closed in the loop's next turn
