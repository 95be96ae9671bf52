"""Write a span for each request, where somebody collects them."""

from time import perf_counter
from typing import Any

from sanic import HTTPResponse, Request, Sanic

from service.routes.route_names import method_of, route_of
from service.telemetry.events import short
from service.telemetry.exports import Spans

_SERVER_ERROR = 500


def trace_requests(app: Sanic[Any, Any], spans: Spans) -> None:
    """Add a pair of hooks, ahead of all others; without spans no request pays for one."""

    @app.on_request
    def begin(request: Request) -> None:
        request.ctx.span_began = perf_counter()

    @app.on_response
    def end(request: Request, response: HTTPResponse) -> None:
        route = route_of(request) or "(none)"
        spans.write(
            f"{method_of(request)} {route}",
            perf_counter() - getattr(request.ctx, "span_began", perf_counter()),
            _attributes(request, response, route),
            failed=response.status >= _SERVER_ERROR,
        )


def _attributes(request: Request, response: HTTPResponse, route: str) -> dict[str, str | int]:
    """Name the request as the log does: never by what was sent."""
    attributes: dict[str, str | int] = {
        "http.request.method": method_of(request),
        "http.route": route,
        "http.response.status_code": response.status,
        "backoffice.request_id": getattr(request.ctx, "request_id", ""),
    }
    principal = getattr(request.ctx, "principal", None)
    if principal is not None:
        attributes |= {"backoffice.user_id": principal.user_id, "backoffice.session": short(principal.sid)}
    return attributes
