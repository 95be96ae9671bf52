"""Describe the bodies and headers of the answers, each with an example."""
# mypy: untyped-calls-exclude="sanic_ext"

from typing import Any

from sanic_ext.extensions.openapi.types import (
    Array,
    Boolean,
    DateTime,
    Integer,
    Long,
    Object,
    Password,
    Schema,
    String,
)

from service.routes.standard_headers import HEADERS, HTTPS_HEADERS
from service.security.password_policy import PASSWORD_MAX_LENGTH

SID = "7d4c0f1e9b8a4f5c8e6d2b3a1c0f9e8d"
_SESSION = {"id": SID, "issued_at": "2026-11-24T09:00:00Z", "expires_at": "2026-11-24T17:00:00Z"}
_SEEN = {
    "last_seen_at": "2026-11-24T09:30:00Z",
    "ip": "192.0.2.7",
    "user_agent": "Mozilla/5.0",
    "current": True,
}

TOKEN = {"token": "eyJ0e..."}
PRINCIPAL = {"id": 1, "name": "Causas", "user": "causas", "session": _SESSION}
LIVE_TOKEN = {
    "active": True,
    "sub": "1",
    "username": "causas",
    "jti": "0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f",
    "iat": 1795510800,
    "exp": 1795539600,
    "iss": "backoffice",
    "aud": "backoffice",
    "token_type": "Bearer",
}
JWK_SET = {
    "keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAY...", "kid": "1", "alg": "EdDSA", "use": "sig"}]
}
SESSIONS = {"data": [_SESSION | _SEEN], "meta": {"current_page": 1, "last_page": 1, "total": 1}}


def components(password_min_length: int) -> dict[str, dict[str, Any]]:
    """Return what the operations refer to by name."""
    new_password = _new_password(password_min_length)
    return {
        "schemas": _schemas() | {"NewPassword": new_password},
        "headers": _headers() | _standard_headers(),
    }


def _new_password(least: int) -> Schema:
    return Password(
        minLength=least,
        maxLength=PASSWORD_MAX_LENGTH,
        description=f"The new password: at least {least} characters, and not a common one, once or repeated.",
    )


def _schemas() -> dict[str, Schema]:
    session = {
        "id": String(pattern="^[0-9a-f]{32}$", description="The session's id: the token's `sid`."),
        "issued_at": DateTime(description="When the session began; RFC 3339, UTC."),
        "expires_at": DateTime(description="When it ends, unless it is refreshed."),
    }
    seen = {
        "last_seen_at": DateTime(description="When it last asked for anything."),
        "ip": String(description="The address that opened the session."),
        "user_agent": String(description="What opened the session says it is."),
        "current": Boolean(description="Whether it is the session that asks."),
    }
    meta = {
        "current_page": Integer(minimum=1, description="The page that was asked for."),
        "last_page": Integer(minimum=1, description="How many pages there are."),
        "total": Integer(minimum=0, description="How many sessions there are."),
    }
    sentences = Array(String(), minItems=1)
    return {
        "Token": _object(token=String(description="The JWT: send it as `Authorization: Bearer <token>`.")),
        "Principal": _object(
            id=Long(minimum=1, description="The user's id."),
            name=String(description="What she is called."),
            user=String(description="The username."),
            session=_object(**session),
        ),
        "Sessions": _object(
            data=Array(_object(**session, **seen), maxItems=50, description="The sessions."),
            meta=_object(**meta),
        ),
        "Introspection": Object(
            {
                "active": Boolean(
                    description="Whether the token is good at this moment; if not, that is all."
                ),
                "sub": String(description="The user's id."),
                "username": String(description="The username."),
                "jti": String(description="The token's own id."),
                "iat": Long(description="When it was issued, in Unix seconds."),
                "exp": Long(description="When it expires, in Unix seconds."),
                "iss": String(description="Who issued it (`JWT_ISSUER`)."),
                "aud": String(description="Whom it is for."),
                "token_type": String(enum=["Bearer"], description="How it is sent."),
            },
            required=["active"],
        ),
        "JwkSet": _object(keys=Array(Object(), description="The keys, as in RFC 7517.")),
        "Nothing": Object(maxProperties=0),
        "Message": _object(message=String(description="One sentence, for people.")),
        "Invalid": _object(
            message=String(description="The first error, and how many more there are."),
            errors=Object(additionalProperties=sentences, description="The sentences, by field."),
        ),
        "Health": Object(
            {
                "status": String(enum=["ok", "degraded"], description="Whether both stores answer."),
                "down": String(enum=["redis", "database"], description="The store that does not answer."),
            },
            required=["status"],
        ),
        "Document": Object(),
        "Page": String(),
        "Text": String(),
    }


def _object(**properties: Schema) -> Object:
    return Object(properties, required=list(properties))


def _standard_headers() -> dict[str, dict[str, Any]]:
    fixed = HEADERS | HTTPS_HEADERS | {"Vary": "Origin"}
    why = {
        "Cache-Control": "No answer is kept; those that may be say so themselves.",
        "X-Content-Type-Options": "An answer is of the type that it says.",
        "Content-Security-Policy": "No answer is shown within another page.",
        "Referrer-Policy": "No address is passed on.",
        "Strict-Transport-Security": "With TLS in front.",
        "Vary": "Where other origins are allowed.",
    }
    return {
        name: _header(why[name], String(enum=[value]), example=value) for name, value in fixed.items()
    } | {
        "Access-Control-Allow-Origin": _header("The caller's origin, if it is allowed; or `*`.", example="*"),
        "Access-Control-Expose-Headers": _header(
            "What its pages may read.", example="Retry-After, X-Request-ID"
        ),
    }


def _headers() -> dict[str, dict[str, Any]]:
    return {
        "X-Request-ID": _header(
            "The caller's, if it has 8 to 128 letters, digits, dots, dashes or underscores; else a fresh one."
            " Quote it when you ask for help.",
            example="5f0c1d6e2b7a4c3d9e8f7a6b5c4d3e2f",
        ),
        "WWW-Authenticate": _header(
            'With `error="invalid_token"` only if a token was sent (RFC 6750 section 3.1).',
            example='Bearer realm="backoffice"',
        ),
        "Retry-After": _header(
            "Seconds, rounded up: who sleeps them gets through.", Integer(minimum=1), example=42
        ),
        "X-RateLimit-Limit": _header(
            "Attempts within the window; absent where the limit is switched off.",
            Integer(minimum=1),
            example=5,
        ),
        "X-RateLimit-Remaining": _header("Attempts that are left.", Integer(minimum=0), example=4),
        "X-RateLimit-Reset": _header(
            "When the next attempt is admitted, in Unix seconds.", Long(), example=1795510842
        ),
        "RateLimit-Policy": _header(
            "The quota and its window in seconds (draft-ietf-httpapi-ratelimit-headers).",
            example='"login";q=5;w=60',
        ),
        "RateLimit": _header(
            "What is left, and the seconds until more is (the same draft).", example='"login";r=4;t=60'
        ),
        "X-Auth-Id": _header("The user's id.", Long(minimum=1)),
        "X-Auth-User": _header("The user name, percent-encoded (UTF-8) but for letters, digits and `@-._~`."),
        "X-Auth-Session": _header("The session's id."),
        "Kept": _header("For how long the keys may be kept.", example="public, max-age=600"),
        "Page-Policy": _header("Nothing is loaded, and nothing runs but the page's own two blocks."),
        "Location": _header("Where to look instead.", example="/docs"),
    }


def _header(description: str, schema: Schema | None = None, **more: str | int) -> dict[str, Any]:
    return {"description": description, "schema": schema or String(), **more}
