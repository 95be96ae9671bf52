"""Signing keys: which are taken, and what is said about those that are not."""

import traceback
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from service.security.key_ring import KeyRing
from service.settings import SettingsError
from tests.unit.jwks import ALGORITHMS, ec_jwk, jwk_set, private_jwk, public_jwk, rsa_jwk, secret_jwk

SECRET = "a secret of more than thirty-two bytes"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_kind_of_a_key_decides_its_algorithm(algorithm: str) -> None:
    jwk = private_jwk(algorithm, "one")
    del jwk["alg"]

    ring = KeyRing.from_jwks(jwk_set(jwk))

    assert (ring.signing_key.kid, ring.signing_key.algorithm) == ("one", algorithm)


def test_the_first_key_signs_and_every_key_is_found_by_its_kid() -> None:
    ring = KeyRing.from_jwks(
        jwk_set(private_jwk("EdDSA", "new"), private_jwk("ES256", "old"), public_jwk("RS256", "older"))
    )

    assert ring.signing_key.kid == "new"
    assert [key and key.algorithm for key in map(ring.get, ("new", "old", "older", "none"))] == [
        "EdDSA",
        "ES256",
        "RS256",
        None,
    ]


def test_a_secret_is_known_by_a_kid_that_is_no_part_of_it_and_no_plain_digest() -> None:
    one, same, other = (KeyRing.from_secret(secret).signing_key for secret in (SECRET, SECRET, SECRET + "!"))

    assert one.kid == same.kid != other.kid
    assert one.algorithm == "HS256"
    assert one.kid not in SECRET


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_cannot_be_the_first(algorithm: str) -> None:
    jwks = jwk_set(public_jwk(algorithm, "public"), private_jwk("EdDSA", "private"))

    with pytest.raises(SettingsError, match=r"^JWT_KEYS must begin with a private key"):
        KeyRing.from_jwks(jwks)


def test_an_empty_set_signs_nothing() -> None:
    with pytest.raises(SettingsError, match=r"^JWT_KEYS must begin with a private key"):
        KeyRing.from_jwks(jwk_set())


def test_a_kid_names_one_key() -> None:
    jwks = jwk_set(private_jwk("EdDSA", "same"), private_jwk("ES256", "same"))

    with pytest.raises(SettingsError, match=r"^JWT_KEYS holds the same kid twice"):
        KeyRing.from_jwks(jwks)


@pytest.mark.parametrize(
    ("jwk", "least"), [(secret_jwk(31), "32 bytes"), (secret_jwk(0), ""), (rsa_jwk(1024), "2048 bits")]
)
def test_a_short_key_is_refused(jwk: dict[str, Any], least: str) -> None:
    with pytest.raises(SettingsError, match=f"^JWT_KEYS.*{least}"):
        KeyRing.from_jwks(jwk_set(jwk))


def test_a_key_of_exactly_the_least_length_is_taken() -> None:
    assert KeyRing.from_jwks(jwk_set(secret_jwk(32))).signing_key.algorithm == "HS256"


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()], ids=lambda c: c.name)
def test_a_curve_that_cannot_sign_es256_is_refused_at_the_start_and_not_at_the_first_login(
    curve: ec.EllipticCurve,
) -> None:
    with pytest.raises(SettingsError, match=r"^JWT_KEYS"):
        KeyRing.from_jwks(jwk_set(ec_jwk(curve)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        ("null", "it is no object with a list of keys"),
        ("[]", "it is no object with a list of keys"),
        ('"keys"', "it is no object with a list of keys"),
        ("{}", "it is no object with a list of keys"),
        ('{"keys": 5}', "it is no object with a list of keys"),
        ('{"keys": ["x"]}', "key 1 is no object"),
        ('{"keys": [null]}', "key 1 is no object"),
        ('{"keys": [{}]}', "key 1 has no kty"),
        ('{"keys": [{"kty": "oct"}]}', "key 1 has no kid"),
        ('{"keys": [{"kty": [], "kid": "x"}]}', "key 1 cannot be read"),
        ('{"keys": [{"kty": "oct", "kid": "x", "k": "!"}]}', "key 1 cannot be read"),
        (
            '{"keys": [{"kty": "EC", "kid": "x", "crv": "P-256", "x": "AA", "y": "AA"}]}',
            "key 1 cannot be read",
        ),
        ('{"keys": [{"kty": "XYZ", "kid": "x"}]}', "key 1 cannot be read"),
    ],
)
def test_what_is_no_set_of_keys_is_refused_in_one_sentence(text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=rf"^JWT_KEYS must be a JWK Set of .*: {why}\.$"):
        KeyRing.from_jwks(text)


def test_a_key_without_a_kid_is_refused() -> None:
    jwk = private_jwk("EdDSA", "x")
    del jwk["kid"]

    with pytest.raises(SettingsError, match=r"^JWT_KEYS"):
        KeyRing.from_jwks(jwk_set(jwk))


def test_a_key_that_names_another_algorithm_is_refused() -> None:
    jwk = private_jwk("RS256", "x") | {"alg": "HS256"}

    with pytest.raises(SettingsError, match="RSA signs with RS256, not HS256"):
        KeyRing.from_jwks(jwk_set(jwk))


@pytest.mark.parametrize(
    "jwks",
    [
        [secret_jwk(31)],
        [secret_jwk(40) | {"alg": "RS256"}],
        [private_jwk("EdDSA", "x"), private_jwk("ES256", "x")],
        [private_jwk("ES256", "x") | {"crv": "P-384"}],
        [private_jwk("EdDSA", "x") | {"x": "AAAA"}],
        [private_jwk("RS256", "x") | {"n": "AAAA"}],
        [rsa_jwk(1024)],
    ],
)
def test_no_error_quotes_a_key_nor_does_its_traceback(jwks: list[dict[str, Any]]) -> None:
    with pytest.raises(SettingsError) as caught:
        KeyRing.from_jwks(jwk_set(*jwks))

    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    private = [jwk[name] for jwk in jwks for name in ("k", "d", "p", "q", "dp", "dq", "qi") if name in jwk]
    assert private
    assert not [material for material in private if material in told]


def test_a_key_shows_no_secret_when_it_is_printed() -> None:
    ring = KeyRing.from_secret(SECRET)

    assert SECRET not in repr(ring.signing_key)
    assert SECRET not in repr(ring)


def test_keys_for_other_purposes_come_from_the_private_keys_in_their_order() -> None:
    first, second = private_jwk("EdDSA", "one"), private_jwk("ES256", "two")
    one, two = KeyRing.from_jwks(jwk_set(first)), KeyRing.from_jwks(jwk_set(second))

    both = KeyRing.from_jwks(jwk_set(first, second, public_jwk("RS256", "three")))

    assert both.derive("account") == one.derive("account") + two.derive("account")
    assert both.derive("account") != both.derive("anything else")
