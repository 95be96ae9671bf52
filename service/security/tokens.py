"""Issue the JWTs of the contract, and read nothing but those."""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from service.errors import Unauthenticated
from service.security.key_ring import KeyRing

AUDIENCE = "backoffice"
LEEWAY = timedelta(seconds=5)
# How long anything about a session is kept after its last token ended: the leeway, and a minute for clocks.
KEEP_AFTER_END = LEEWAY + timedelta(seconds=60)

_ID = re.compile(r"[0-9a-f]{32}")
_USER_ID = re.compile(r"[1-9][0-9]{0,18}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_HEADER = {"typ", "alg", "kid"}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: whose it is (`user_id`), of which session (`sid`), which one (`jti`), until when."""

    user_id: int
    sid: str
    jti: str
    version: int
    issued_at: datetime
    expires_at: datetime


def new_id() -> str:
    """Return 128 random bits as 32 hexadecimal digits: a session id, or a token id."""
    return secrets.token_hex(16)


class TokenCodec:
    """Turns claims into a signed token and back."""

    def __init__(self, keys: KeyRing, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer

    def issue(self, claims: Claims) -> str:
        key = self._keys.signing_key
        issued_at = int(claims.issued_at.timestamp())
        payload = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": str(claims.user_id),
            "sid": claims.sid,
            "jti": claims.jti,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": int(claims.expires_at.timestamp()),
            "ver": claims.version,
        }
        return jwt.encode(payload, key.signing, key.algorithm, {"kid": key.kid})

    def read(self, token: str, now: datetime) -> Claims:
        """Return the claims of a token that is ours and good at `now`, else raise Unauthenticated."""
        claims = self.read_ignoring_time(token)
        if not claims.issued_at - LEEWAY <= now < claims.expires_at + LEEWAY:
            raise Unauthenticated
        return claims

    def read_ignoring_time(self, token: str) -> Claims:
        """Return the claims of a token that is ours, be it expired, else raise Unauthenticated."""
        # The alphabet first: PyJWT also takes padding, blanks and lone surrogates, or trips over them.
        if not _TOKEN.fullmatch(token):
            raise Unauthenticated
        try:
            return _claims(self._verified(token))
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
            raise Unauthenticated from error

    def _verified(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        # Exactly our own header: no `jku`, `jwk`, `x5u` or `crit` is looked at, none is let through.
        if set(header) != _HEADER or header["typ"] != "JWT":
            raise Unauthenticated
        key = self._keys.get(header["kid"])
        if key is None or header["alg"] != key.algorithm:
            raise Unauthenticated
        return jwt.decode(
            token,
            key.verifying,
            algorithms=[key.algorithm],
            audience=AUDIENCE,
            issuer=self._issuer,
            # The times are checked by `read`, against the service's own clock.
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "strict_aud": True},
        )


def _claims(payload: dict[str, Any]) -> Claims:
    """Check every claim's type: PyJWT lets a numeric string pass for a time."""
    times = [payload[name] for name in ("iat", "nbf", "exp", "ver")]
    ids = [payload["sid"], payload["jti"]]
    if any(type(value) is not int for value in times) or not all(_ID.fullmatch(value) for value in ids):
        raise ValueError
    if payload["nbf"] != payload["iat"] or not _USER_ID.fullmatch(payload["sub"]):
        raise ValueError
    return Claims(
        user_id=int(payload["sub"]),
        sid=payload["sid"],
        jti=payload["jti"],
        version=payload["ver"],
        issued_at=datetime.fromtimestamp(payload["iat"], UTC),
        expires_at=datetime.fromtimestamp(payload["exp"], UTC),
    )
