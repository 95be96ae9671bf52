"""Turn every exception into its status, its JSON and its headers."""

import logging
from urllib.parse import unquote

from sanic import HTTPResponse, Request
from sanic.exceptions import (
    BadRequest,
    ExpectationFailed,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RequestCancelled,
    SanicException,
    ServiceUnavailable,
)

from service import errors
from service.routes.answers import json_answer, no_content
from service.routes.connections import RequestTooSlow
from service.telemetry.causes import cause_of

log = logging.getLogger("service")

_BY_FRAMEWORK: dict[type[SanicException | RequestCancelled], tuple[int, str]] = {
    BadRequest: (400, "Bad Request."),
    ExpectationFailed: (400, "Bad Request."),
    RequestTooSlow: (408, "Request Timeout."),
    PayloadTooLarge: (413, "The request is too large."),
    # Its client hung up. Nobody reads this; the log and the metrics shall tell it from a bug and an outage.
    RequestCancelled: (499, "Client Closed Request."),
}


async def refuse(request: Request, error: BaseException) -> HTTPResponse:
    """Answer an exception that ended a request; what is not a refusal is a bug, logged and not shown."""
    if isinstance(error, errors.Refusal):
        request.ctx.refusal = error
        if isinstance(error, errors.ServiceUnavailable):
            log.warning(
                "unavailable", extra={"reason": type(error).__name__, "cause": cause_of(error.__cause__)}
            )
        return json_answer(error.body, error.status, error.headers)
    if isinstance(error, NotFound):
        missing = errors.NotFound(path_of(request))
        return json_answer(missing.body, missing.status)
    if isinstance(error, MethodNotAllowed):
        return _method_not_allowed(request, error)
    for kind, (status, message) in _BY_FRAMEWORK.items():
        if isinstance(error, kind):
            return json_answer({"message": message}, status)
    if isinstance(error, ServiceUnavailable):
        unavailable = errors.ServiceUnavailable()
        return json_answer(unavailable.body, unavailable.status, unavailable.headers)
    log.error("server_error", exc_info=error)
    return json_answer({"message": "Server Error"}, 500)


def path_of(request: Request) -> str:
    """Give the path as the sentences name it: decoded, without slashes around it."""
    return unquote(request.path).strip("/")


def _method_not_allowed(request: Request, error: MethodNotAllowed) -> HTTPResponse:
    methods = sorted({*(error.allowed_methods or ())} - {"OPTIONS"})
    headers = {"Allow": ", ".join([*methods, "OPTIONS"])}
    # No route registers OPTIONS; every route answers it.
    if request.method == "OPTIONS":
        return no_content(headers)
    sentence = (
        f"The {request.method} method is not supported for route {path_of(request)}."
        f" Supported methods: {', '.join(methods)}."
    )
    return json_answer({"message": sentence}, 405, headers)
