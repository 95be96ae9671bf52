"""Stand between a service and a store, and let the network between them fail."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Literal, Self, TypeVar

Mode = Literal["pass", "hold", "refuse", "reset"]
T = TypeVar("T")

_CHUNK_BYTES = 65536
_PATIENCE_SECONDS = 5.0
# A linger of no time at all closes a connection by RST.
_AT_ONCE = struct.pack("ii", 1, 0)


class Proxy:
    """A TCP proxy on a free port of this machine, run by a thread of its own.

    "hold" is a black hole: connections are accepted, what is sent stays on its way until it passes again, as
    TCP would have it. "refuse" and "reset" end the open connections as well.
    """

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.held_bytes = 0
        self.delayed = 0
        self.cut = 0  # connections ended or turned away
        self._target_port = target_port
        self._delay_seconds = 0.0
        self._mode: Mode = "pass"
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._passing = asyncio.Event()
        self._passing.set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_SECONDS)
        self._loop.close()

    def set(self, mode: Mode) -> None:
        self._do(self._set(mode))

    def delay(self, seconds: float) -> None:
        """Have every write of a client wait so long on its way."""
        self._delay_seconds = seconds

    def lead_to(self, port: int) -> None:
        """Lead to another server from now on, as a name does that was given another address."""
        self._target_port = port
        self._do(self._cut_all())

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_SECONDS)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _set(self, mode: Mode) -> None:
        was, self._mode = self._mode, mode
        if was == "refuse":
            await self._listen()
        if mode == "hold":
            self._passing.clear()
        else:
            self._passing.set()
        if mode == "refuse":
            self._server.close()
        if mode in {"refuse", "reset"}:
            await self._cut_all()

    async def _cut_all(self) -> None:
        for writer in tuple(self._open):
            self.cut += 1
            _reset(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode in {"refuse", "reset"}:
            self.cut += 1
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _reset(writer)
            return
        self._open |= {writer, far_writer}
        await asyncio.gather(
            self._pump(reader, far_writer, delayed=True), self._pump(far_reader, writer, delayed=False)
        )
        self._open -= {writer, far_writer}

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, delayed: bool
    ) -> None:
        try:
            while data := await reader.read(_CHUNK_BYTES):
                if delayed and self._delay_seconds:
                    self.delayed += 1
                    await asyncio.sleep(self._delay_seconds)
                if not self._passing.is_set():
                    self.held_bytes += len(data)
                    await self._passing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def _close(self) -> None:
        self._server.close()
        await self._cut_all()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()
