"""Make the answers of the contract: compact JSON, or nothing."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from sanic import HTTPResponse

_encode = msgspec.json.Encoder().encode


def json_answer(
    body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
) -> HTTPResponse:
    return HTTPResponse(_encode(body), status, dict(headers or {}), "application/json")


def no_content() -> HTTPResponse:
    return HTTPResponse(status=204)


def rfc3339(at: datetime) -> str:
    """Write a time as the contract does: UTC, whole seconds, a Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
