"""Make answers: compact JSON, or nothing."""

from collections.abc import Mapping

import msgspec
from sanic import HTTPResponse

from service.routes.header_block import Block, block_of, block_of_line

_encode = msgspec.json.Encoder().encode


class Answer(HTTPResponse):
    """An answer that writes its headers in one block: Sanic spends more on them than on all the rest."""

    __slots__ = ("lines", "prepared")

    def __init__(
        self, body: bytes, status: int, headers: Mapping[str, str], content_type: str | None = None
    ) -> None:
        # Not by Sanic's own, which makes two dictionaries that know a name in any case. Ours have but one.
        self.asgi = False
        self.stream = None
        self._cookies = None
        self.body = body
        self.status = status
        self.content_type = content_type
        self.headers = dict(headers)  # type: ignore[assignment]
        self.lines: list[str] = []
        self.prepared: tuple[Block, ...] = ()

    @property
    def processed_headers(self) -> tuple[Block, ...]:  # type: ignore[override]  # Sanic only iterates
        if self.content_type is not None:
            self.headers.setdefault("content-type", self.content_type)
        block = block_of(self.headers, self.lines)
        if block is not None:
            return block, *self.prepared
        # Sanic's own way drops what could break out of a header.
        return *super().processed_headers, *map(block_of_line, self.lines), *self.prepared


def add_header_lines(response: HTTPResponse, lines: str) -> None:
    """Add headers as the text that will be sent; there must be nothing in it that came from outside."""
    if isinstance(response, Answer):
        response.lines.append(lines)
    else:
        for line in lines.split("\r\n"):
            name, _, value = line.partition(": ")
            response.headers[name] = value


def json_answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    return Answer(_encode(body), status, headers or {}, "application/json")


def no_content(headers: Mapping[str, str] | None = None) -> HTTPResponse:
    return Answer(b"", 204, headers or {})
