"""Serve the least that Sanic can: the yardstick, run as `python -m benchmarks.empty_handler PORT`."""

import asyncio
import socket
import sys
from typing import Any

import uvloop
from sanic import HTTPResponse, Request, Sanic

_BODY = (
    b'{"id":1,"name":"Somebody","user":"somebody","session":{"id":"0123456789abcdef0123456789abcdef",'
    b'"issued_at":"2026-01-01T00:00:00Z","expires_at":"2026-01-01T08:00:00Z"}}'
)


def main(port: int, path: str) -> None:
    """Serve the path the way the service does: one process, uvloop, a socket bound beforehand, no log."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    app: Sanic[Any, Any] = Sanic("empty", configure_logging=False)
    # Sanic would load sanic-ext by itself, which costs every request something.
    app.config.update(AUTO_EXTEND=False, ACCESS_LOG=False, MOTD=False, KEEP_ALIVE_TIMEOUT=75)

    @app.get(path)
    async def answer(_request: Request) -> HTTPResponse:
        return HTTPResponse(_BODY, 200, None, "application/json")

    with socket.create_server(("127.0.0.1", port), backlog=1024) as listening:
        app.prepare(sock=listening, single_process=True, motd=False, access_log=False)
        Sanic.serve_single(app)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
