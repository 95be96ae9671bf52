"""Describe the answers that the operations share."""
# mypy: untyped-calls-exclude="sanic_ext"

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from sanic_ext.extensions.openapi.definitions import RequestBody
from sanic_ext.extensions.openapi.types import Object, Schema

from service.errors import (
    BadJson,
    Budget,
    ClientRefused,
    Invalid,
    Refusal,
    ServiceUnavailable,
    TooManyAttempts,
    TooManyRequests,
    Unauthenticated,
    UnsupportedMediaType,
)
from service.routes.standard_headers import HEADERS, HTTPS_HEADERS

Answers = dict[str, dict[str, Any]]  # by status

# What every answer carries, or may: the last four where TLS or another origin is concerned.
STANDARD_HEADERS = (
    *HEADERS,
    *HTTPS_HEADERS,
    "Vary",
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
)
# Descriptions of a standard header where an answer sets it to something else.
_OTHERWISE = {"Kept": "Cache-Control", "Page-Policy": "Content-Security-Policy"}
_LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "RateLimit", "RateLimit-Policy")


def json_body(example: Mapping[str, str], **properties: Schema) -> RequestBody:
    """Describe a JSON object all of whose fields are required."""
    schema = Object(properties, required=list(properties))
    return RequestBody({"application/json": {"schema": schema, "example": example}}, required=True)


def form_or_json_body(example: Mapping[str, str], **properties: Schema) -> RequestBody:
    """Describe the same object, sent as JSON or as a form."""
    body = json_body(example, **properties)
    (content,) = body.fields["content"].values()
    kinds = ("application/json", "application/x-www-form-urlencoded")
    return RequestBody(dict.fromkeys(kinds, content), required=True)


def answers(*groups: Answers) -> Answers:
    """Merge them in the order of their statuses; of two for one status, the later counts."""
    merged = {status: answer for group in groups for status, answer in group.items()}
    return dict(sorted(merged.items()))


def limited(described: Answers) -> Answers:
    """Add to the answers of a route that a limit guards what they all say: how much of it is left."""
    return {
        status: answer | {"headers": answer.get("headers", {}) | _headers(_LIMIT_HEADERS)}
        for status, answer in described.items()
    }


def answer(
    status: int,
    description: str,
    schema: str | None = None,
    example: Mapping[str, object] | None = None,
    headers: Iterable[str] = (),
    media_type: str = "application/json",
    links: Mapping[str, object] | None = None,
) -> Answers:
    described: dict[str, Any] = {
        "description": description,
        "headers": _headers(("X-Request-ID", *STANDARD_HEADERS, *headers)),
    }
    if schema is not None:
        content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
        described["content"] = {media_type: content | ({"example": example} if example else {})}
    if links is not None:
        described["links"] = links
    return {str(status): described}


def refused(error: Refusal, description: str, *more_headers: str) -> Answers:
    """Describe a refusal by itself: its status, its words, its headers."""
    schema = "Invalid" if isinstance(error, Invalid | TooManyAttempts) else "Message"
    return answer(error.status, description, schema, error.body, (*error.headers, *more_headers))


def _headers(names: Iterable[str]) -> dict[str, dict[str, str]]:
    return {_OTHERWISE.get(name, name): {"$ref": f"#/components/headers/{name}"} for name in names}


ANYWHERE = answers(
    refused(Refusal(), "A bug; it is logged with the request id."),
    refused(
        ServiceUnavailable(), "What is needed does not answer in time. Nothing is let through meanwhile."
    ),
)
_WAIT = timedelta(seconds=42)


def _spent(policy: str, limit: int) -> Budget:
    return Budget(policy, limit, window=timedelta(minutes=1), remaining=0, reset=_WAIT)


RATED = refused(
    TooManyRequests(_spent("session", 2000), _WAIT),
    "Too many requests.",
    "X-RateLimit-Reset",
)
PRIVATE = answers(refused(Unauthenticated(), "No token, or one that is not good (any more)."), RATED)
FOR_CLIENTS = answers(refused(ClientRefused(), "No client credentials, or none that are known."), RATED)
BAD_BODIES = answers(
    refused(BadJson(), "Not JSON, not UTF-8, a key twice, or nested too deep."),
    answer(408, "The body did not arrive in time.", "Message", {"message": "Request Timeout."}),
    answer(413, "A body of more than 16 KiB.", "Message", {"message": "The request is too large."}),
    refused(UnsupportedMediaType(), "A body of another type."),
)
TOO_MANY_ATTEMPTS = refused(
    TooManyAttempts(_spent("login", 5), _WAIT),
    "Too many failed attempts on this account from this network.",
    "X-RateLimit-Reset",
)
