"""Take the credentials of a client out of the Authorization header (RFC 7617)."""

from base64 import b64decode

from sanic import Request

from service.errors import ClientRefused


def basic_credentials(request: Request) -> bytes:
    """Return what follows `Basic `, decoded; raise ClientRefused if there is not exactly one such header."""
    values: list[str] = request.headers.getall("authorization", [])
    try:
        (value,) = values
        scheme, _, encoded = value.strip(" \t").partition(" ")
        content = b64decode(encoded, validate=True)
    except ValueError as error:
        raise ClientRefused from error
    if scheme.lower() != "basic":
        raise ClientRefused
    return content
