"""Let pytest-sanic 1.9.1 start Sanic 25: it was written for an older way of making a server."""

import socket

import pytest_sanic.utils
from sanic import Sanic

from service.routes.connections import Connection


class Server(pytest_sanic.utils.TestServer):  # type: ignore[misc]
    """A TestServer over Sanic's public `create_server`; it fires every lifecycle event, on a real socket."""

    async def start_server(self) -> None:
        self.socket = socket.socket()
        self.socket.bind((self.host, 0))
        self.port = self.socket.getsockname()[1]
        self.server = await self.app.create_server(
            sock=self.socket, protocol=Connection, return_asyncio_server=True
        )
        await self.server.startup()
        await self.server.before_start()
        await self.server.start_serving()
        await self.server.after_start()
        self.is_running = True

    async def close(self) -> None:
        if not self.is_running:
            return
        self.is_running = False
        await self.server.before_stop()
        self.server.server.close()
        for connection in tuple(self.server.connections):
            connection.abort()
        await self.server.server.wait_closed()
        await self.server.after_stop()


def install() -> None:
    """Make `sanic_client` use it."""
    Sanic.test_mode = True
    pytest_sanic.utils.TestServer = Server
