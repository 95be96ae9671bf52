"""Refuse a request that a proxy in front may have read otherwise: that is how another one is smuggled in.

Sanic reads more than RFC 9112 allows. What is ambiguous is answered 400, and its connection ends.
"""

import re
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

from sanic import Request, Sanic
from sanic.compat import Header
from sanic.exceptions import BadRequest
from sanic.http import Http
from sanic.http.constants import Stage
from sanic.http.http1 import HTTP_CONTINUE

# What no header may have in it (RFC 9110 section 5.5): somebody may take it for the end.
_BREAKS = b"\0\r\n"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"})
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
# Python reads other digits, signs, underscores and blanks as a number as well, and Sanic strips other blanks.
_BODY_LINE = re.compile(
    rb"\r\n(?:content-length:[ \t]*[0-9]+|transfer-encoding:[ \t]*chunked)[ \t]*(?:\r\n|\Z)", re.IGNORECASE
)
_CHUNK_LINE = re.compile(rb"\r\n[0-9A-Fa-f]{1,8}\r\n")
_PART_OF_A_CHUNK_LINE = re.compile(rb"(?:\r(?:\n(?:[0-9A-Fa-f]{1,8}\r?)?)?)?")

# Names of headers that were found sound and say nothing of a body: one look-up for all names of a request.
_ORDINARY_NAMES: set[str] = set()
_ORDINARY_NAMES_MAX = 500


class FramedRequest(Request):
    """A request whose head can be read in one way only; anything else raises BadRequest."""

    # Sanic's is a property, and makes the namespace when it is first asked for; hooks and handlers ask often.
    ctx: SimpleNamespace
    __slots__ = ("ctx",)

    def __init__(
        self,
        url_bytes: bytes,
        headers: Header,
        version: str,
        method: str,
        transport: Any,
        app: Sanic[Any, Any],
        head: bytes = b"",
        stream_id: int = 0,
    ) -> None:
        # Without a head it is the one that Sanic makes to answer what it could not read.
        if head:
            _require_sound(head, headers, version, method)
        super().__init__(url_bytes, headers, version, method, transport, app, head, stream_id)
        # `http://host` without a slash: whatever asks for its path would fail.
        if head and self._parsed_url.path is None:
            raise BadRequest
        self.ctx = SimpleNamespace()


class FramedHttp(Http):
    """Sanic's reader of requests, with what it waits for or passes over refused."""

    request_body: Any  # "chunked", or whether one is to come

    def __init__(self, protocol: Any) -> None:
        super().__init__(protocol)  # type: ignore[no-untyped-call]
        self.request_body = None
        self._receive_more = self._receive_more_of_a_sound_head

    @property
    def receives(self) -> bool:
        """Whether a request has begun to arrive and is not whole."""
        return self.stage is Stage.REQUEST or bool(self.request_body)

    def create_empty_request(self) -> None:
        # A URL that could not be parsed raises once more, and then nobody answers.
        self.url = None
        super().create_empty_request()
        self.request.conn_info = self.protocol.conn_info

    async def read(self) -> bytes | None:
        if self.request_body == "chunked" and self.request_bytes_left == 0:
            await self._receive_chunk_line()
        return await super().read()

    def _receive_more_of_a_sound_head(self) -> Awaitable[None]:
        """Wait for more, unless lines end in a bare LF: the empty line that ends a head would never come."""
        if self.stage is Stage.REQUEST and _BARE_LINE_FEED.search(self.recv_buffer):
            raise BadRequest
        more: Awaitable[None] = self.protocol.receive_more()  # type: ignore[no-untyped-call]
        return more

    async def _receive_chunk_line(self) -> None:
        """Have the end of the last chunk and the size of the next in the buffer, in digits and nothing else.

        Sanic does not look at what ends a chunk, and reads sizes as Python reads numbers. Extensions may be
        sent (RFC 9112 section 7.1.1), but nobody does, and servers disagree on where they end.
        """
        if self.expecting_continue:
            self.expecting_continue = False
            await self._send(HTTP_CONTINUE)
        while not _CHUNK_LINE.match(self.recv_buffer):
            if not _PART_OF_A_CHUNK_LINE.fullmatch(self.recv_buffer):
                self.keep_alive = False
                raise BadRequest
            await self._receive_more()


def _require_sound(head: bytes, headers: Header, version: str, method: str) -> None:
    # Every line but the first begins with CR LF, and that is all of them that there may be.
    if len(head) - len(head.translate(None, _BREAKS)) != 2 * len(headers):
        raise BadRequest
    if method not in METHODS and not _TOKEN.fullmatch(method):
        raise BadRequest
    # RFC 9112 section 3.2: exactly one, in ASCII as every host (RFC 3986 section 3.2.2); HTTP/1.0 knew none.
    hosts = headers.getall("host", ())
    if len(hosts) != 1 and (hosts or version == "1.1"):
        raise BadRequest
    if hosts and not hosts[0].isascii():
        raise BadRequest
    if not _ORDINARY_NAMES.issuperset(headers):
        _require_sound_names(head, headers, version)


def _require_sound_names(head: bytes, headers: Header, version: str) -> None:
    # Blanks before the colon, and lines that go on (RFC 9112 sections 5.1 and 5.2), are in the name here.
    names = {name.lower() for name in headers}
    if not all(map(_TOKEN.fullmatch, names)):
        raise BadRequest
    body_names = names & {"content-length", "transfer-encoding"}
    if body_names and not _BODY_LINE.search(head):
        raise BadRequest
    # RFC 9112 section 6.1: its sender did not know of chunks, or somebody on the way did not.
    if version == "1.0" and "transfer-encoding" in names:
        raise BadRequest
    if len(_ORDINARY_NAMES) < _ORDINARY_NAMES_MAX:
        _ORDINARY_NAMES.update(names - body_names)
