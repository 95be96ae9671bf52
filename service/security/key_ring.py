"""The keys that sign tokens: the first signs, all verify, each bound to its algorithm."""

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import jwt

from service.settings import SECRET_MIN_BYTES, SettingsError

_ALGORITHMS = {"oct": "HS256", "RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}
_RSA_MIN_BITS = 2048


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    algorithm: str
    verifying: Any = field(repr=False)  # what PyJWT's algorithm takes
    signing: Any = field(repr=False)  # likewise; None: the public half only, kept to verify
    secret: bytes = field(repr=False)  # private material, to derive other keys from


class KeyRing:
    """An ordered set of keys; a token's `kid` finds its key, and the key alone decides the algorithm."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        if not keys or keys[0].signing is None:
            raise SettingsError("JWT_KEYS must begin with a private key: the first one signs.")
        if len({key.kid for key in keys}) != len(keys):
            raise SettingsError("JWT_KEYS holds the same kid twice.")
        self.signing_key = keys[0]
        self._by_kid = {key.kid: key for key in keys}

    @classmethod
    def from_secret(cls, secret: str) -> Self:
        """Make a ring of one HS256 key."""
        raw = secret.encode()
        # Not a plain digest of the secret: a kid is public.
        kid = hmac.digest(raw, b"backoffice kid", hashlib.sha256).hex()[:16]
        return cls([SigningKey(kid, "HS256", raw, raw, raw)])

    @classmethod
    def from_jwks(cls, text: str) -> Self:
        """Make a ring of a JWK Set (RFC 7517): HS256, RS256, ES256 or EdDSA keys, each with a `kid`."""
        # The chains are cut on purpose: the text of these errors may quote key material.
        try:
            jwks = list(json.loads(text)["keys"])
        except ValueError:
            raise _no_set("it is not JSON") from None
        except (KeyError, TypeError):
            raise _no_set("it is no object with a list of keys") from None
        return cls([_read(jwk, number) for number, jwk in enumerate(jwks, 1)])

    def __iter__(self) -> Iterator[SigningKey]:
        return iter(self._by_kid.values())

    def get(self, kid: str) -> SigningKey | None:
        return self._by_kid.get(kid)

    def derive(self, purpose: str) -> list[bytes]:
        """Return 32 secret bytes for another purpose from each private key, in the order of the ring."""
        secrets = (key.secret for key in self._by_kid.values() if key.secret)
        return [hmac.digest(secret, b"backoffice " + purpose.encode(), hashlib.sha256) for secret in secrets]


def _read(jwk: object, number: int) -> SigningKey:
    if not isinstance(jwk, dict):
        raise _no_set(f"key {number} is no object")
    for name in ("kty", "kid"):
        if name not in jwk:
            raise _no_set(f"key {number} has no {name}")
    try:
        return _from_jwk(jwk)
    except (ValueError, KeyError, TypeError, jwt.PyJWTError):
        raise _no_set(f"key {number} cannot be read") from None


def _no_set(why: str) -> SettingsError:
    return SettingsError(f"JWT_KEYS must be a JWK Set of HS256, RS256, ES256 or EdDSA keys: {why}.")


def _from_jwk(jwk: dict[str, Any]) -> SigningKey:
    algorithm = _ALGORITHMS[jwk["kty"]]
    if jwk.get("alg", algorithm) != algorithm:
        raise SettingsError(f"JWT_KEYS: a key of type {jwk['kty']} signs with {algorithm}, not {jwk['alg']}.")
    key = jwt.PyJWK(jwk, algorithm).key
    kid = str(jwk["kid"])
    if algorithm == "HS256":
        if len(key) < SECRET_MIN_BYTES:
            raise SettingsError(
                f"JWT_KEYS: key {kid} is too short: at least {SECRET_MIN_BYTES} bytes, please."
            )
        return SigningKey(kid, algorithm, key, key, key)
    if algorithm == "RS256" and key.key_size < _RSA_MIN_BITS:
        raise SettingsError(f"JWT_KEYS: key {kid} is too short: at least {_RSA_MIN_BITS} bits, please.")
    if algorithm == "ES256" and key.curve.name != "secp256r1":
        raise SettingsError(f"JWT_KEYS: key {kid} is on another curve than P-256, the one of ES256.")
    if "d" not in jwk:
        return SigningKey(kid, algorithm, key, None, b"")
    return SigningKey(kid, algorithm, key.public_key(), key, str(jwk["d"]).encode())
