"""Make keys of every kind that may sign, as JSON Web Keys."""

import base64
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
_PUBLIC_MEMBERS = {"kty", "crv", "x", "y", "n", "e", "kid", "alg"}


def private_jwk(algorithm: str, kid: str) -> dict[str, Any]:
    """Give a private key; the same one whenever the same is asked for."""
    return {**_material(algorithm, kid), "kid": kid, "alg": algorithm}


def public_jwk(algorithm: str, kid: str) -> dict[str, Any]:
    """Give the public half of the private key of that name."""
    jwk = private_jwk(algorithm, kid)
    return {name: value for name, value in jwk.items() if name in _PUBLIC_MEMBERS}


def secret_jwk(size: int, kid: str = "secret") -> dict[str, Any]:
    """Give a symmetric key of so many bytes."""
    return {"kty": "oct", "kid": kid, "k": base64.urlsafe_b64encode(b"s" * size).rstrip(b"=").decode()}


def rsa_jwk(bits: int, kid: str = "rsa") -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, bits), as_dict=True), "kid": kid}


def ec_jwk(curve: ec.EllipticCurve, kid: str = "ec") -> dict[str, Any]:
    return {**ECAlgorithm.to_jwk(ec.generate_private_key(curve), as_dict=True), "kid": kid}


def jwk_set(*jwks: dict[str, Any]) -> str:
    return json.dumps({"keys": jwks})


@cache
def _material(algorithm: str, kid: str) -> dict[str, Any]:
    del kid  # one key per name
    if algorithm == "HS256":
        return secret_jwk(32)
    if algorithm == "RS256":
        return rsa_jwk(2048)
    if algorithm == "ES256":
        return ec_jwk(ec.SECP256R1())
    return OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True)
