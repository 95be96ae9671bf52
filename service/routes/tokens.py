"""Tell other services what a token is worth, and end it for them."""

from urllib.parse import quote

from sanic import Blueprint, HTTPResponse, Request

from service.routes import operations
from service.routes.answers import json_answer, no_content
from service.routes.bodies import strings_of_form_or_json
from service.routes.gateways import VERIFY
from service.routes.guard import bearer_token, client_id_of
from service.security.tokens import AUDIENCE
from service.use_cases.introspect import LiveToken

tokens = Blueprint("tokens")

# As long as fits into a body: a token that is too long is a dead one, and no reason to refuse the question.
_TOKEN_MAX_LENGTH = 16 * 1024
_KEYS_MAY_BE_KEPT = {"Cache-Control": "public, max-age=600"}


@tokens.post("/v1/backoffice/auth/introspect", ctx_for_clients=True, ctx_operation=operations.INTROSPECT)
async def introspect(request: Request) -> HTTPResponse:
    live = await request.app.ctx.use_cases.introspect(_token_in(request))
    return json_answer({"active": False} if live is None else _describe(live))


@tokens.post("/v1/backoffice/auth/revoke", ctx_for_clients=True, ctx_operation=operations.REVOKE)
async def revoke(request: Request) -> HTTPResponse:
    await request.app.ctx.use_cases.revoke_token(_token_in(request), client_id_of(request))
    return json_answer({})


# Public, for it charges nobody: a 429 would be a 500 to the clients of some gateways. It refuses by itself.
@tokens.route(
    VERIFY, methods=["GET", "HEAD"], ctx_public=True, ctx_operation=operations.VERIFY, ignore_body=True
)
async def verify(request: Request) -> HTTPResponse:
    principal, _ = await request.app.ctx.use_cases.verify(bearer_token(request))
    request.ctx.principal = principal
    return no_content(
        {
            "X-Auth-Id": str(principal.user_id),
            "X-Auth-User": _in_ascii(principal.user),
            "X-Auth-Session": principal.sid,
        }
    )


@tokens.route(
    "/.well-known/jwks.json", methods=["GET", "HEAD"], ctx_public=True, ctx_operation=operations.JWKS
)
async def jwks(request: Request) -> HTTPResponse:
    return json_answer(request.app.ctx.use_cases.jwks, headers=_KEYS_MAY_BE_KEPT)


def _token_in(request: Request) -> str:
    return strings_of_form_or_json(request, token=_TOKEN_MAX_LENGTH)["token"]


def _describe(live: LiveToken) -> dict[str, object]:
    """Name what RFC 7662 section 2.2 names; times are Unix seconds."""
    claims = live.claims
    return {
        "active": True,
        "sub": str(claims.user_id),
        "username": live.user,
        "jti": claims.jti,
        "iat": int(claims.issued_at.timestamp()),
        "exp": int(claims.expires_at.timestamp()),
        "iss": live.issuer,
        "aud": AUDIENCE,
        "token_type": "Bearer",
    }


def _in_ascii(user: str) -> str:
    """Percent-encode a name (UTF-8, RFC 3986): a header holds visible ASCII (RFC 9110 section 5.5)."""
    return quote(user, safe="@")
