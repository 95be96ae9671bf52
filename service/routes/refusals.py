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
    RequestTimeout,
    SanicException,
    ServiceUnavailable,
)

from service import errors
from service.routes.answers import json_answer, no_content

log = logging.getLogger("service")

_BY_FRAMEWORK: dict[type[SanicException], tuple[int, str]] = {
    BadRequest: (400, "Bad Request."),
    ExpectationFailed: (400, "Bad Request."),
    RequestTimeout: (408, "Request Timeout."),
    PayloadTooLarge: (413, "The request is too large."),
}


async def refuse(request: Request, error: Exception) -> HTTPResponse:
    """Answer an exception that ended a request; what is not a refusal is a bug, logged and not shown."""
    if isinstance(error, errors.Refusal):
        if isinstance(error, errors.ServiceUnavailable):
            log.warning("unavailable", extra={"reason": type(error).__name__, "cause": repr(error.__cause__)})
        return json_answer(error.body, error.status, error.headers)
    if isinstance(error, NotFound):
        return json_answer({"message": f"The route {path_of(request)} could not be found."}, 404)
    if isinstance(error, MethodNotAllowed):
        return _method_not_allowed(request, error)
    if isinstance(error, ServiceUnavailable | RequestCancelled):
        unavailable = errors.ServiceUnavailable()
        return json_answer(unavailable.body, unavailable.status, unavailable.headers)
    for kind, (status, message) in _BY_FRAMEWORK.items():
        if isinstance(error, kind):
            return json_answer({"message": message}, status)
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
        response = no_content()
        response.headers.update(headers)
        return response
    sentence = (
        f"The {request.method} method is not supported for route {path_of(request)}."
        f" Supported methods: {', '.join(methods)}."
    )
    return json_answer({"message": sentence}, 405, headers)
