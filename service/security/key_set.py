"""Write the next value of JWT_KEYS: the steps of a rotation, each of which every process can live with."""

import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from service.errors import CannotBeDone
from service.security.key_ring import KeyRing

Jwk = dict[str, Any]

_SECRET_BYTES = 48
_RSA_BITS = 3072


def new_key(algorithm: str) -> Jwk:
    """Return a fresh private key as a JWK (RFC 7517), for HS256, EdDSA, ES256 or RS256."""
    return {"kid": secrets.token_hex(8), "alg": algorithm} | _MAKERS[algorithm]()


def _oct(secret: bytes) -> Jwk:
    return {"kty": "oct", "k": urlsafe_b64encode(secret).rstrip(b"=").decode()}


_MAKERS = {
    "HS256": lambda: _oct(secrets.token_bytes(_SECRET_BYTES)),
    "EdDSA": lambda: OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True),
    "ES256": lambda: ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True),
    "RS256": lambda: RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, _RSA_BITS), as_dict=True),
}
ALGORITHMS = tuple(_MAKERS)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of a JWK Set, in order. The first signs; every one verifies.

    A token is refused by a process that does not know its key. So a key has to be known everywhere before it
    signs anywhere (`staged`, then `promoted`), and until its last token has ended (`retired`).
    """

    keys: tuple[Jwk, ...]

    @classmethod
    def from_jwks(cls, text: str) -> Self:
        """Read a value of JWT_KEYS; raises SettingsError."""
        KeyRing.from_jwks(text)
        return cls(tuple(json.loads(text)["keys"]))

    @classmethod
    def from_secret(cls, secret: str) -> Self:
        """Take a JWT_SECRET in: the same key under the same `kid`, so that its tokens stay good."""
        kid = KeyRing.from_secret(secret).signing_key.kid
        return cls(({"kid": kid, "alg": "HS256"} | _oct(secret.encode()),))

    @property
    def text(self) -> str:
        """The value of JWT_KEYS. It holds the private keys."""
        text = json.dumps({"keys": self.keys}, separators=(",", ":"))
        KeyRing.from_jwks(text)  # nothing is handed out that the service would not start with
        return text

    def staged(self, key: Jwk) -> "KeySet":
        """Add a key that verifies and does not sign yet."""
        return KeySet((*self.keys, key))

    def promoted(self, kid: str | None) -> "KeySet":
        """Let a key sign: the named one, or the one staged last."""
        key = self._find(kid or self.keys[-1]["kid"])
        return KeySet((key, *(other for other in self.keys if other is not key)))

    def retired(self, kid: str | None) -> "KeySet":
        """Drop a key that no longer signs: the named one, or the last."""
        key = self._find(kid or self.keys[-1]["kid"])
        if key is self.keys[0]:
            raise CannotBeDone(f"Key {key['kid']} signs: stage and promote another one before it retires.")
        return KeySet(tuple(other for other in self.keys if other is not key))

    def _find(self, kid: str) -> Jwk:
        for key in self.keys:
            if key["kid"] == kid:
                return key
        raise CannotBeDone(f"There is no key {kid} in JWT_KEYS; `keys list` shows those there are.")
