"""Tokens: which key signs and reads them, and from when to when they are good."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from service.errors import Unauthenticated
from service.security.claims import Claims
from service.security.key_ring import KeyRing
from service.security.tokens import AUDIENCE, TokenCodec, new_id
from tests.backoffice import claims_of
from tests.unit.jwks import ALGORITHMS, jwk_set, private_jwk, public_jwk

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
CLAIMS = Claims(
    user_id=7,
    sid="0123456789abcdef" * 2,
    jti="fedcba9876543210" * 2,
    version=3,
    issued_at=NOW,
    expires_at=NOW + timedelta(hours=8),
)
SECRET = "a secret of more than thirty-two bytes"

DAY = timedelta(days=1)

codec = TokenCodec(KeyRing.from_secret(SECRET), "issuer", DAY)


def codec_of(*jwks: dict[str, object]) -> TokenCodec:
    return TokenCodec(KeyRing.from_jwks(jwk_set(*jwks)), "issuer", DAY)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_was_issued_is_read(algorithm: str) -> None:
    any_codec = codec_of(private_jwk(algorithm, "one"))

    token = any_codec.issue(CLAIMS)

    assert any_codec.read(token, NOW) == CLAIMS
    assert jwt.get_unverified_header(token) == {"typ": "JWT", "alg": algorithm, "kid": "one"}


def test_a_token_says_what_the_contract_says_and_no_more() -> None:
    assert claims_of(codec.issue(CLAIMS)) == {
        "iss": "issuer",
        "aud": "backoffice",
        "sub": "7",
        "sid": CLAIMS.sid,
        "jti": CLAIMS.jti,
        "iat": int(NOW.timestamp()),
        "nbf": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 8 * 3600,
        "ver": 3,
    }


def test_ids_are_128_random_bits() -> None:
    ids = {new_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert {len(bytes.fromhex(id_)) for id_ in ids} == {16}


def test_after_a_rotation_the_new_key_signs_and_the_old_ones_tokens_are_read() -> None:
    old, new = private_jwk("ES256", "old"), private_jwk("EdDSA", "new")
    before, after = codec_of(old), codec_of(new, old)

    token = before.issue(CLAIMS)

    assert after.read(token, NOW) == CLAIMS
    assert jwt.get_unverified_header(after.issue(CLAIMS))["kid"] == "new"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_the_public_half_of_an_old_key_reads_its_tokens(algorithm: str) -> None:
    token = codec_of(private_jwk(algorithm, "old")).issue(CLAIMS)

    assert codec_of(private_jwk("HS256", "new"), public_jwk(algorithm, "old")).read(token, NOW) == CLAIMS


def test_a_key_that_is_gone_takes_its_tokens_along() -> None:
    token = codec_of(private_jwk("ES256", "old")).issue(CLAIMS)

    assert refused(codec_of(private_jwk("EdDSA", "new")), token)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("named", ALGORITHMS)
def test_a_kid_opens_only_for_its_own_algorithm(algorithm: str, named: str) -> None:
    ring = codec_of(*(private_jwk(each, each) for each in ALGORITHMS))
    token = codec_of(private_jwk(algorithm, algorithm)).issue(CLAIMS)
    signed_by_one_naming_another = jwt.encode(
        claims_of(token),
        KeyRing.from_jwks(jwk_set(private_jwk(algorithm, algorithm))).signing_key.signing,
        algorithm,
        {"kid": named},
    )

    assert refused(ring, signed_by_one_naming_another) == (algorithm != named)


def test_another_key_of_the_same_kid_signs_in_vain() -> None:
    strangers = KeyRing.from_secret(SECRET + "!").signing_key
    kid = KeyRing.from_secret(SECRET).signing_key.kid

    token = jwt.encode(claims_of(codec.issue(CLAIMS)), strangers.signing, "HS256", {"kid": kid})

    assert refused(codec, token)


def test_a_token_of_another_issuer_is_not_ours() -> None:
    assert refused(TokenCodec(KeyRing.from_secret(SECRET), "somebody else", DAY), codec.issue(CLAIMS))


@pytest.mark.parametrize(
    ("since_expiry", "good"),
    [
        (timedelta(seconds=-1), True),
        (timedelta(seconds=0), True),
        (timedelta(seconds=4, microseconds=999_999), True),
        (timedelta(seconds=5), False),
        (timedelta(seconds=6), False),
    ],
)
def test_a_token_is_good_until_five_seconds_after_its_end(since_expiry: timedelta, good: bool) -> None:
    token = codec.issue(CLAIMS)

    assert refused(codec, token, CLAIMS.expires_at + since_expiry) is not good


@pytest.mark.parametrize(
    ("before_issue", "good"),
    [
        (timedelta(seconds=0), True),
        (timedelta(seconds=5), True),
        (timedelta(seconds=5, microseconds=1), False),
        (timedelta(seconds=6), False),
    ],
)
def test_a_token_is_good_from_five_seconds_before_it_was_issued(before_issue: timedelta, good: bool) -> None:
    token = codec.issue(CLAIMS)

    assert refused(codec, token, NOW - before_issue) is not good


def test_times_are_whole_seconds_and_a_token_is_good_at_the_moment_it_was_issued() -> None:
    at = NOW + timedelta(microseconds=999_999)

    read = codec.read(codec.issue(replace(CLAIMS, issued_at=at)), at)

    assert read.issued_at == NOW


def test_a_token_becomes_no_older_than_a_session_may_now() -> None:
    shorter = TokenCodec(KeyRing.from_secret(SECRET), "issuer", timedelta(hours=1))
    token = codec.issue(CLAIMS)

    assert shorter.read(token, NOW).expires_at == NOW + timedelta(hours=1)
    assert refused(shorter, token, NOW + timedelta(hours=1, seconds=5))


def test_an_expired_token_still_tells_whose_it_was_to_those_who_ask_for_that() -> None:
    token = codec.issue(replace(CLAIMS, expires_at=NOW - timedelta(days=1)))

    assert codec.read_ignoring_time(token).sid == CLAIMS.sid
    assert refused(codec, token)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["backoffice"]},
        {"aud": "elsewhere"},
        {"exp": "1893456000"},
        {"exp": 1893456000.0},
        {"exp": True},
        {"nbf": int(NOW.timestamp()) + 1},
        {"ver": "3"},
        {"ver": None},
        {"sub": 7},
        {"sub": "07"},
        {"sub": "-7"},
        {"sub": "7 "},
        {"sid": "0123456789ABCDEF" * 2},
        {"sid": "short"},
        {"sid": None},
        {"jti": ["x"]},
    ],
)
def test_a_claim_of_the_wrong_kind_is_refused_though_our_key_signed_it(changes: dict[str, object]) -> None:
    key = KeyRing.from_secret(SECRET).signing_key
    payload = claims_of(codec.issue(CLAIMS))

    token = jwt.encode(payload | changes, key.signing, "HS256", {"kid": key.kid})

    assert refused(codec, token)


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "ver"])
def test_a_missing_claim_is_refused(claim: str) -> None:
    key = KeyRing.from_secret(SECRET).signing_key
    payload = claims_of(codec.issue(CLAIMS))
    del payload[claim]

    assert refused(codec, jwt.encode(payload, key.signing, "HS256", {"kid": key.kid}))


def test_the_audience_is_this_service() -> None:
    assert AUDIENCE == "backoffice"


def refused(reader: TokenCodec, token: str, now: datetime = NOW) -> bool:
    try:
        reader.read(token, now)
    except Unauthenticated:
        return True
    return False
