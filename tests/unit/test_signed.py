"""Signed content: read only where an independent judge, PyJWT, reads the same."""

import json
from typing import Any

import jwt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.security.key_ring import KeyRing
from service.security.signed import content_of
from tests.unit.jwks import ALGORITHMS, jwk_set, private_jwk

CONTENT = {"sub": "7", "name": "Älpha"}
RING = KeyRing.from_jwks(jwk_set(*(private_jwk(algorithm, algorithm) for algorithm in ALGORITHMS)))
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0\u0661\ud800"


def signed_by(kid: str) -> str:
    key = RING.get(kid)
    assert key is not None
    return jwt.encode(CONTENT, key.signing, key.algorithm, {"kid": kid})


TOKENS = {kid: signed_by(kid) for kid in ALGORITHMS}


@pytest.mark.parametrize("kid", ALGORITHMS)
def test_what_a_key_has_signed_is_read(kid: str) -> None:
    assert json.loads(content_of(TOKENS[kid], RING)) == CONTENT


changes = st.lists(
    st.tuples(st.sampled_from(["change", "insert", "remove"]), st.integers(0), st.sampled_from(ALPHABET)),
    min_size=1,
    max_size=3,
)


@given(st.sampled_from(ALGORITHMS), changes)
def test_no_changed_token_is_read_that_pyjwt_refuses(kid: str, made: list[tuple[str, int, str]]) -> None:
    token = TOKENS[kid]
    for kind, number, character in made:
        at = number % len(token)
        token = token[:at] + ("" if kind == "remove" else character) + token[at + (kind != "insert") :]

    assert ours(token) in (None, pyjwts(token))


@given(st.text(ALPHABET, max_size=60))
def test_nothing_is_read_out_of_nothing(token: str) -> None:
    assert ours(token) is None


def ours(token: str) -> Any:
    try:
        return json.loads(content_of(token, RING))
    except (ValueError, msgspec.MsgspecError):
        return None


def pyjwts(token: str) -> Any:
    try:
        key = RING.get(jwt.get_unverified_header(token).get("kid", ""))
        return None if key is None else jwt.decode(token, key.verifying, [key.algorithm])
    except (jwt.PyJWTError, UnicodeError):
        return None
