"""Serve requests in one process until told to stop or left alone by the parent."""

import asyncio
import signal
import socket
from types import FrameType
from typing import Any

import uvloop
from sanic import Sanic

from service.app import create_app
from service.settings import Settings


def serve(settings: Settings, listening: socket.socket, parent: int) -> None:
    """Accept on the socket until SIGTERM, SIGINT or end-of-file on `parent`; finish what is in flight."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    app = create_app(settings)

    @app.after_server_start
    async def listen_for_the_end(app: Sanic[Any, Any]) -> None:
        loop = asyncio.get_running_loop()

        def stop(_signal: int = 0, _frame: FrameType | None = None) -> None:
            # Once: further signals must not cut short what the first one lets finish.
            loop.remove_reader(parent)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            app.stop(terminate=False)

        # Not add_signal_handler: Sanic removes those as it stops, and the next signal would kill.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, stop)
        loop.add_reader(parent, stop)

    app.prepare(sock=listening, single_process=True, register_sys_signals=False, motd=False, access_log=False)
    Sanic.serve_single(app)
