"""Publish the public halves of the keys, for who verifies tokens by herself."""

from typing import Any

import jwt

from service.security.key_ring import KeyRing

# A symmetric key has no public half: what is not named here is never published.
_ASYMMETRIC = {"RS256", "ES256", "EdDSA"}


def jwk_set(keys: KeyRing) -> dict[str, list[dict[str, Any]]]:
    """Return a JWK Set (RFC 7517 section 5) of the keys that anybody may verify with, in the ring's order."""
    return {
        "keys": [
            _members(key.verifying, key.algorithm) | {"kid": key.kid, "alg": key.algorithm, "use": "sig"}
            for key in keys
            if key.algorithm in _ASYMMETRIC
        ]
    }


def _members(public_key: Any, algorithm: str) -> dict[str, Any]:
    jwk = dict(jwt.get_algorithm_by_name(algorithm).to_jwk(public_key, as_dict=True))
    # Beside `use` it should not stand (RFC 7517 section 4.3).
    jwk.pop("key_ops", None)
    return jwk
