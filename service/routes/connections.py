"""Bound what a client may have a worker wait for: the rest of a request, the next one, room for an answer."""

import asyncio
import resource
from functools import cache
from operator import attrgetter
from time import monotonic
from typing import Any

from sanic.exceptions import ServiceUnavailable
from sanic.http.constants import Stage
from sanic.server import HttpProtocol

from service.routes.framing import FramedHttp

_TICK_SECONDS = 1.0
# How long nothing must have come before a connection is closed by a worker that ends. A client in the
# middle of its conversation would find it closed under the next request.
_QUIET_SECONDS = 0.5

_CONNECTIONS_MAX = 2048
# Files that are no connections of clients: stores, log, loop.
_OTHER_FILES = 64
_MAKE_ROOM_BY = 1 / 8


class RequestTooSlow(ServiceUnavailable):
    """The request was not whole in time.

    A 408 for all that: Sanic runs the hooks for requests on any error but those of this class, and who
    asks for what cannot be told of half a request.
    """

    status_code = 408
    quiet = True


class Connection(HttpProtocol):
    """A connection whose every wait has an end, whatever drips in."""

    HTTP_CLASS = FramedHttp
    __slots__ = ("_arrival", "_cut_off")

    transport: Any
    conn_info: Any
    _task: Any
    request_timeout: float
    response_timeout: float
    keep_alive_timeout: float

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._http: FramedHttp | None = None
        self._cut_off = False
        self._arrival: asyncio.Future[None] | None = None
        self._data_received: Any = None  # Sanic's event: see receive_more

    def connection_made(self, transport: Any) -> None:
        room = self._make_room()
        super().connection_made(transport)  # type: ignore[no-untyped-call]
        # Without an address: it was reset before it was accepted, and nobody is there to count or to answer.
        if not room or not self.conn_info.client_ip:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and the time only of the first byte of a request: Sanic starts all over with each."""
        began, http = self._time, self._http
        super().data_received(data)
        if http is not None and (http.stage is not Stage.IDLE or http.request_body):
            self._time = began
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def receive_more(self) -> asyncio.Future[None]:  # type: ignore[override]  # it is awaited all the same
        """Wait for bytes: by a future, for but one task waits. Sanic's event is for any number of them."""
        self.transport.resume_reading()
        self._arrival = self.loop.create_future()
        return self._arrival

    def check_timeouts(self) -> None:
        """End, once a tick, what has taken too long."""
        if self._task is None:
            return
        self._callback_check_timeouts = self.loop.call_later(_TICK_SECONDS, self.check_timeouts)
        if self._http is not None and self.waited > self._patience(self._http):
            self._end(self._http)

    def close_if_idle(self) -> bool:
        """Close when nothing has come for a moment; what comes before that is answered, and is the last."""
        if self._http is None:
            return super().close_if_idle()
        self._http.keep_alive = False
        if self._http.stage is Stage.IDLE and self.waited < _QUIET_SECONDS:
            self.loop.call_later(_QUIET_SECONDS - self.waited, self.close_if_idle)
            return False
        return super().close_if_idle()

    @property
    def waited(self) -> float:
        """Seconds since its last answer, or the first byte of the request that is under way."""
        return monotonic() - self._time

    @property
    def waits(self) -> bool:
        """Whether it is the client's turn."""
        return self._http is None or self._http.stage is Stage.IDLE or self._http.receives

    def _patience(self, http: FramedHttp) -> float:
        if self._cut_off:
            return 0.0
        if http.receives:
            return self.request_timeout
        if http.stage is not Stage.IDLE or self.transport.get_write_buffer_size() > 0:
            return self.response_timeout
        return _QUIET_SECONDS if self.signal.stopped else self.keep_alive_timeout

    def _end(self, http: FramedHttp) -> None:
        # The second time, or if what was sent is not read: there is nobody to answer.
        if self._cut_off or not self._can_write.is_set():
            self.transport.abort()
            return
        self._cut_off = True
        if http.stage is Stage.IDLE:
            self.close()
            return
        http.exception = RequestTooSlow() if http.receives else ServiceUnavailable()
        # Nothing waits for the rest of it.
        http.request_body = None
        self._task.cancel()

    def _make_room(self) -> bool:
        """Have room for one connection more: those go that have kept the worker waiting the longest."""
        if len(self.connections) < _connections_max():
            return True
        waiting = sorted(
            (one for one in self.connections if one.waits), key=attrgetter("waited"), reverse=True
        )
        for longest in waiting[: int(len(waiting) * _MAKE_ROOM_BY) + 1]:
            self.connections.discard(longest)
            longest.transport.abort()
        return bool(waiting)


@cache
def _connections_max() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _CONNECTIONS_MAX
    return max(1, min(_CONNECTIONS_MAX, files - _OTHER_FILES))
