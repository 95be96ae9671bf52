"""Serve requests in one process until told to stop or left alone by the parent."""

import asyncio
import signal
import socket
from types import FrameType
from typing import Any

import uvloop
from sanic import Sanic

from service import heartbeats, last_connections
from service.app import create_app
from service.routes.connections import Connection
from service.settings import Settings
from service.telemetry import exports, metrics

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_BEAT_SECONDS = 0.5
_PAUSE_SECONDS = 0.01


def serve(settings: Settings, listening: socket.socket, parent: int, row: int) -> None:
    """Accept on the socket until SIGTERM or end-of-file on `parent`; finish what is in flight.

    `row` is where this worker counts and where its heart beats: see telemetry/metrics.py, heartbeats.py.
    """
    metrics.use_row(row)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    with exports.exporting(settings) as spans:
        _serve(create_app(settings, spans=spans), listening, parent, row)


def _serve(app: Sanic[Any, Any], listening: socket.socket, parent: int, row: int) -> None:
    @app.after_server_start
    async def be_seen(app: Sanic[Any, Any]) -> None:
        loop = asyncio.get_running_loop()
        _Ending(app, loop, parent, row).listen()
        _beat(loop, row)

    @app.before_server_stop
    async def take_the_last(app: Sanic[Any, Any]) -> None:
        await last_connections.take(app, listening)

    app.prepare(
        sock=listening,
        protocol=Connection,
        single_process=True,
        register_sys_signals=False,
        motd=False,
        access_log=False,
    )
    Sanic.serve_single(app)


def _beat(loop: asyncio.AbstractEventLoop, row: int) -> None:
    heartbeats.beat(row)
    loop.call_later(_BEAT_SECONDS, _beat, loop, row)


class _Ending:
    """Hears that the worker is to end, and has it end once."""

    def __init__(self, app: Sanic[Any, Any], loop: asyncio.AbstractEventLoop, parent: int, row: int) -> None:
        self._app = app
        self._loop = loop
        self._parent = parent
        self._row = row
        self._begun = False

    def listen(self) -> None:
        # Not add_signal_handler: Sanic removes those as it stops, and the next signal would kill.
        for number in _STOP_SIGNALS:
            signal.signal(number, self._hear)
        self._loop.add_reader(self._parent, self._end)

    def _hear(self, _signal: int, _frame: FrameType | None) -> None:
        # Nothing more here. A handler runs between any two instructions: within the loop's own, between
        # two runs of it, where nothing that looks for a running loop works, or in a __del__, which swallows
        # what is raised, and then the worker would never end. To queue a call is safe everywhere, and if
        # the loop does not run now it will: before it is closed, `_end` has put another handler here.
        self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        # Once: further signals must not cut short what the first one lets finish.
        if not self._begun:
            self._begun = True
            # Not SIG_IGN: Python prints a traceback for a signal that came just before it was ignored.
            for number in _STOP_SIGNALS:
                signal.signal(number, _nothing)
            heartbeats.leave(self._row)
            self._app.ctx.draining = True
            # From now on every answer is the last one on its connection.
            self._app.config.KEEP_ALIVE = False
            self._loop.remove_reader(self._parent)
            self._stop()

    def _stop(self) -> None:
        # To stop the loop while Sanic still starts would be the end of its start, with a traceback.
        if self._app.state.is_running:
            self._app.stop(terminate=False)
        else:
            self._loop.call_later(_PAUSE_SECONDS, self._stop)


def _nothing(_signal: int, _frame: FrameType | None) -> None:
    """Take a signal that has nothing to say any more."""
