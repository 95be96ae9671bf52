"""Serve a yardstick the way the service is served: one process, uvloop, a socket bound beforehand, no log."""

import asyncio
import socket
from typing import Any

import uvloop
from sanic import Sanic


def plain_app() -> Sanic[Any, Any]:
    """Make an app of Sanic alone."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    app: Sanic[Any, Any] = Sanic("yardstick", configure_logging=False)
    # Sanic would load sanic-ext by itself, which costs every request something.
    app.config.update(AUTO_EXTEND=False, ACCESS_LOG=False, MOTD=False, KEEP_ALIVE_TIMEOUT=75)
    return app


def serve(app: Sanic[Any, Any], port: int) -> None:
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listening:
        app.prepare(sock=listening, single_process=True, motd=False, access_log=False)
        Sanic.serve_single(app)
