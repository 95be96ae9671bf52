"""Let a request through only with a good token, unless its route says that it is public."""

import re
from typing import cast

from sanic import Request

from service.errors import Unauthenticated
from service.use_cases.authenticate import Authenticate, Principal

_HEADER = re.compile(r"bearer ([!-~]{1,4096})", re.IGNORECASE)


async def require_principal(request: Request, authenticate: Authenticate) -> None:
    """Put the principal on a request to a private route, or raise Unauthenticated.

    A route is private unless it was registered with `ctx_public=True`: a forgotten mark refuses everybody.
    """
    if request.route is None or getattr(request.route.ctx, "public", False):
        return
    request.ctx.principal = await authenticate(_bearer_token(request))


def principal_of(request: Request) -> Principal:
    return cast(Principal, request.ctx.principal)


def _bearer_token(request: Request) -> str:
    """Return what follows `Bearer `; the scheme is case-insensitive (RFC 9110 section 11.1).

    Not Sanic's `request.token`, which also takes a bare token and finds "Bearer" anywhere.
    """
    headers = request.headers.getall("authorization", [])
    if len(headers) == 1 and (match := _HEADER.fullmatch(headers[0])):
        return match[1]
    sent = any(header.lower().startswith("bearer ") for header in headers)
    raise Unauthenticated(token_sent=sent)
