"""Issue JWTs of one exact form, and read nothing but those."""

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import msgspec

from service.errors import Unauthenticated
from service.security.claims import Claims
from service.security.key_ring import KeyRing
from service.security.signed import content_of, signed_by
from service.security.verified_tokens import VerifiedTokens
from service.telemetry import metrics

AUDIENCE = "backoffice"
LEEWAY = timedelta(seconds=5)
# How long anything about a session is kept after its last token ended: the leeway, and a minute for clocks.
KEEP_AFTER_END = LEEWAY + timedelta(seconds=60)

_ID = re.compile(r"[0-9a-f]{32}")
_USER_ID = re.compile(r"[1-9][0-9]{0,18}")
# What reading anything but our own tokens may raise; the last two: a time that no calendar has.
_UNREADABLE = (
    jwt.PyJWTError,
    msgspec.MsgspecError,
    RecursionError,
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    OSError,
)


def new_id() -> str:
    """Return 128 random bits as 32 hexadecimal digits: a session id, or a token id."""
    return secrets.token_hex(16)


def is_id(text: str) -> bool:
    """Whether it could be such an id."""
    return _ID.fullmatch(text) is not None


class TokenCodec:
    """Turns claims into a signed token and back.

    No token becomes older than a session may: SESSION_MAX_TTL can be shorter now than when it was issued, and
    for so long everybody remembers that a user's sessions were ended.
    """

    def __init__(self, keys: KeyRing, issuer: str, session_max_ttl: timedelta) -> None:
        self._keys = keys
        self._issuer = issuer
        self._session_max_ttl = session_max_ttl
        self._verified = VerifiedTokens()

    def issue(self, claims: Claims) -> str:
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
        return signed_by(self._keys.signing_key, msgspec.json.encode(payload))

    def read(self, token: str, now: datetime) -> Claims:
        """Return the claims of a token that is ours and good at `now`, else raise Unauthenticated."""
        claims = self._verified.get(token)
        if claims is None:
            claims = self.read_ignoring_time(token)
            self._verified.put(token, claims)
            metrics.SIGNATURES.count()
        # Differences, for a sum could leave the calendar.
        if claims.issued_at - now > LEEWAY or now - claims.expires_at >= LEEWAY:
            raise Unauthenticated
        return claims

    def read_ignoring_time(self, token: str) -> Claims:
        """Return the claims of a token that is ours, be it expired, else raise Unauthenticated."""
        try:
            payload = msgspec.json.decode(content_of(token, self._keys))
            if payload["iss"] != self._issuer or payload["aud"] != AUDIENCE:
                raise Unauthenticated
            return _claims(payload, self._session_max_ttl)
        except _UNREADABLE as error:
            raise Unauthenticated from error


def _claims(payload: dict[str, Any], session_max_ttl: timedelta) -> Claims:
    """Check every claim's type: a numeric string is no time."""
    times = [payload[name] for name in ("iat", "nbf", "exp", "ver")]
    ids = [payload["sid"], payload["jti"]]
    if any(type(value) is not int for value in times) or not all(_ID.fullmatch(value) for value in ids):
        raise ValueError
    if payload["nbf"] != payload["iat"] or not _USER_ID.fullmatch(payload["sub"]):
        raise ValueError
    issued_at = datetime.fromtimestamp(payload["iat"], UTC)
    return Claims(
        user_id=int(payload["sub"]),
        sid=payload["sid"],
        jti=payload["jti"],
        version=payload["ver"],
        issued_at=issued_at,
        expires_at=min(datetime.fromtimestamp(payload["exp"], UTC), issued_at + session_max_ttl),
    )
