"""Sign a content with our key, and take it out again if one of our keys has signed it."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Literal

import jwt
import msgspec

from service.security.key_ring import KeyRing, SigningKey

_TOKEN_MAX_LENGTH = 4096
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly our own header, in the order of every published example: "eyJ0e…".

    No `jku`, `jwk`, `x5u` or `crit` is looked at, none is let through.
    """

    typ: Literal["JWT"]
    alg: str
    kid: str


_read_header = msgspec.json.Decoder(_Header).decode


def signed_by(key: SigningKey, content: bytes) -> str:
    """Return the content as a JWS in its compact form (RFC 7515 section 7.1).

    As below, PyJWT's way takes ten times as long: it finds out anew what kind of key it was given.
    """
    header = msgspec.json.encode(_Header("JWT", key.algorithm, key.kid))
    signed = b".".join((_segment_of(header), _segment_of(content)))
    signature = jwt.get_algorithm_by_name(key.algorithm).sign(signed, key.signing)
    return b".".join((signed, _segment_of(signature))).decode()


def content_of(token: str, keys: KeyRing) -> bytes:
    """Return the payload of a JWS in its compact form (RFC 7515 section 7.1) that one of the keys has signed.

    Raises ValueError or msgspec.MsgspecError for anything else. PyJWT's algorithms do the cryptography; its
    own way there decodes everything twice, character by character, which takes longer than all the rest of
    a request.
    """
    if len(token) > _TOKEN_MAX_LENGTH or not _TOKEN.fullmatch(token):
        raise ValueError("not three segments, or too long")
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    named = _read_header(_bytes_of(header))
    key = keys.get(named.kid)
    # The key decides the algorithm, not the token (RFC 8725 section 3.1).
    if key is None or named.alg != key.algorithm:
        raise ValueError("not one of our keys")
    algorithm = jwt.get_algorithm_by_name(key.algorithm)
    if not algorithm.verify(signed.encode(), key.verifying, _bytes_of(signature)):
        raise ValueError("not signed by its key")
    return _bytes_of(payload)


def _segment_of(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")


def _bytes_of(segment: str) -> bytes:
    """Decode base64url without padding, and of several spellings of the same bytes only the right one."""
    content = urlsafe_b64decode(segment + "==")
    if _segment_of(content) != segment.encode():
        raise ValueError("not base64url")
    return content
