"""Let a request through only with a good token, unless its route says who else may."""

from typing import cast

from sanic import Request

from service.errors import ClientRefused, Unauthenticated
from service.routes.basic_credentials import basic_credentials
from service.routes.client_network import client_of
from service.security.client_credentials import ClientCredentials
from service.security.principal import Principal
from service.stores.rate_limits import NetworkRate
from service.use_cases.authenticate import Authenticate

# What probes and scrapers ask for is free, also by a method that is not for it.
_FREE = frozenset({"/health/live", "/health/ready", "/metrics", "/.well-known/jwks.json"})


async def let_in(request: Request, authenticate: Authenticate, rate: NetworkRate) -> None:
    """Put the principal on a request to a private route, or raise Unauthenticated.

    A route is private unless it was registered with `ctx_public=True`: a forgotten mark refuses everybody.
    With `ctx_for_clients=True` it wants client credentials instead of a token. What is asked for without what
    is wanted is charged to its network; raises TooManyRequests.
    """
    if request.route is None:
        if _pays_without_route(request):
            await _charge_network(request, rate)
    elif getattr(request.route.ctx, "public", False):
        if getattr(request.route.ctx, "network_limited", False):
            await _charge_network(request, rate)
    elif getattr(request.route.ctx, "for_clients", False):
        await _require_client(request, rate)
    else:
        await _require_principal(request, authenticate, rate)


def _pays_without_route(request: Request) -> bool:
    """Whether a request for an unknown route, or by a method that is not for it, is charged to its network.

    Not a preflight, which no browser could do without; and not one whose head could not be read: it tells
    neither what it was for nor, behind a proxy, where it came from.
    """
    return bool(request.head) and request.method != "OPTIONS" and request.path.rstrip("/") not in _FREE


async def _require_principal(request: Request, authenticate: Authenticate, rate: NetworkRate) -> None:
    try:
        request.ctx.principal, request.ctx.budget = await authenticate(bearer_token(request))
    except Unauthenticated as refusal:
        await _charge_network(request, rate)
        refusal.budget = request.ctx.budget
        raise


async def _require_client(request: Request, rate: NetworkRate) -> None:
    known: ClientCredentials = request.app.ctx.clients
    try:
        request.ctx.client_id = known.verify(basic_credentials(request))
    except ClientRefused as refusal:
        await _charge_network(request, rate)
        refusal.budget = request.ctx.budget
        raise


async def _charge_network(request: Request, rate: NetworkRate) -> None:
    request.ctx.budget = await rate.charge(client_of(request).network)


def principal_of(request: Request) -> Principal:
    return cast(Principal, request.ctx.principal)


def client_id_of(request: Request) -> str:
    return cast(str, request.ctx.client_id)


def bearer_token(request: Request) -> str:
    """Return what follows `Bearer `; the scheme is case-insensitive (RFC 9110 section 11.1).

    Not Sanic's `request.token`, which also takes a bare token and finds "Bearer" anywhere.
    """
    values: list[str] = request.headers.getall("authorization", [])
    tokens = [token for value in values if (token := _token_in(value)) is not None]
    if len(values) == len(tokens) == 1:
        return tokens[0]
    raise Unauthenticated(token_sent=bool(tokens))


def _token_in(value: str) -> str | None:
    # Blanks around a value are no part of it (RFC 9110 section 5.5), but Sanic leaves those behind it.
    value = value.strip(" \t")
    return value[7:] if value[:7].lower() == "bearer " else None
