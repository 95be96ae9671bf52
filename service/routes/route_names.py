"""Name what was asked for, by nothing that a caller made up."""

import re
from functools import cache

from sanic import Request

from service.routes.framing import METHODS

# As OpenTelemetry writes it: https://opentelemetry.io/docs/specs/semconv/http/http-spans/
_ANOTHER_METHOD = "_OTHER"


def method_of(request: Request) -> str:
    """Name the method, if it is one that anything answers."""
    return request.method if request.method in METHODS else _ANOTHER_METHOD


def route_of(request: Request) -> str | None:
    """Name the route that the request found; None if it found none."""
    return None if request.route is None else pattern_of(request.route.path)


@cache  # of the routes there are
def pattern_of(path: str) -> str:
    """Write a route as OpenAPI does."""
    return "/" + re.sub(r"<(\w+)[^>]*>", r"{\1}", path).strip("/")
