"""Write one line per request: what was asked for and how it ended, and nothing of what was sent."""

import logging
from time import perf_counter

from sanic import HTTPResponse, Request

from service.routes.client_network import network_of
from service.routes.route_names import method_of, route_of

_log = logging.getLogger("service.access")


def log_access(request: Request, response: HTTPResponse, request_id: str) -> None:
    """Log the request. Its path is not, nor an unknown method: a caller may have put a token there."""
    if not _log.isEnabledFor(logging.INFO):
        return
    principal = getattr(request.ctx, "principal", None)
    began = getattr(request.ctx, "began", None)  # None: it was cut off before anybody looked at it
    fields = {
        "method": method_of(request),
        "route": route_of(request),
        "status": response.status,
        "ms": None if began is None else round((perf_counter() - began) * 1000, 1),
        "user_id": None if principal is None else principal.user_id,
        "network": network_of(request),
        "request_id": request_id,
    }
    _log.info("request", extra=fields)
