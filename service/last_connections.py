"""Answer the connections that still wait on the listening socket as a worker ends."""

import asyncio
import socket
from functools import partial
from typing import Any

from sanic import Sanic
from sanic.models.server_types import Signal

from service import listening
from service.routes.connections import Connection

# For a connection that was half made when the parent had further ones refused, and for the parent itself: a
# platform tells all processes at once that they are to end, and nobody accepts what comes to it alone.
_HANDSHAKE_SECONDS = 0.1
_PAUSE_SECONDS = 0.05


async def take(app: Sanic[Any, Any], shared: socket.socket) -> None:
    """Accept and answer all that waits, and have what comes after it refused, or taken by other workers."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(_HANDSHAKE_SECONDS)
    taken = listening.take_all_and_leave(shared)
    connections: set[Connection] = set()
    ended = Signal()
    ended.stopped = True
    connect = partial(Connection, loop=loop, app=app, signal=ended, connections=connections)
    for one in taken:
        await loop.connect_accepted_socket(connect, one)
    while connections:  # noqa: ASYNC110 - they do not say when they go
        await asyncio.sleep(_PAUSE_SECONDS)
