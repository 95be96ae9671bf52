"""Show the metrics to whoever collects them."""

import hmac

from sanic import Blueprint, HTTPResponse, Request

from service.errors import Unauthenticated
from service.routes import operations
from service.routes.answers import Answer
from service.routes.guard import bearer_token
from service.telemetry.metrics import exposition

metrics = Blueprint("metrics")

# https://prometheus.io/docs/instrumenting/exposition_formats/
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@metrics.route("/metrics", methods=["GET", "HEAD"], ctx_public=True, ctx_operation=operations.SHOW_METRICS)
async def show(request: Request) -> HTTPResponse:
    expected: str | None = request.app.ctx.metrics_token
    if expected is not None:
        _require(bearer_token(request), expected)
    return Answer(exposition().encode(), 200, {}, _CONTENT_TYPE)


def _require(given: str, expected: str) -> None:
    # Neither need be ASCII, and what is sent need not be UTF-8.
    if not hmac.compare_digest(*(text.encode(errors="surrogateescape") for text in (given, expected))):
        raise Unauthenticated
