"""Put on every answer what every answer carries."""

from collections.abc import Mapping

from sanic import HTTPResponse

from service.routes.answers import Answer
from service.routes.header_block import block_of

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
HTTPS_HEADERS = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}


class StandardHeaders:
    """Headers that an answer may set to something else, and most do not."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        block = block_of(headers)
        if block is None:
            raise ValueError("A header has a line break in it.")
        self._headers = dict(headers)
        self._prepared = (block,)

    def add_to(self, response: HTTPResponse) -> None:
        if isinstance(response, Answer) and not response.headers:
            response.prepared = self._prepared
            return
        for name, value in self._headers.items():
            response.headers.setdefault(name, value)
