"""Tokens that were read before: remembered, and no better for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.errors import Unauthenticated
from service.security.claims import Claims
from service.security.key_ring import KeyRing
from service.security.tokens import TokenCodec
from service.security.verified_tokens import VerifiedTokens

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
KEYS = KeyRing.from_secret("a secret of more than thirty-two bytes")
STRANGERS = KeyRing.from_secret("another secret of more than thirty-two bytes")
CLAIMS = Claims(
    user_id=7,
    sid="0123456789abcdef" * 2,
    jti="fedcba9876543210" * 2,
    version=3,
    issued_at=NOW,
    expires_at=NOW + timedelta(seconds=20),
)


def codec_that_remembers(size: int) -> TokenCodec:
    codec = TokenCodec(KEYS, "issuer", DAY)
    codec._verified = VerifiedTokens(size)
    return codec


def tokens() -> list[str]:
    ours, strangers = TokenCodec(KEYS, "issuer", DAY), TokenCodec(STRANGERS, "issuer", DAY)
    good = [
        ours.issue(replace(CLAIMS, user_id=number, expires_at=NOW + timedelta(seconds=10 * number)))
        for number in range(1, 5)
    ]
    spoiled = [
        good[0][:-1],
        good[0] + "A",
        good[0].swapcase(),
        "",
        "..",
        good[0].rsplit(".", 1)[0] + ".\ud800",
    ]
    mixed = [f"{good[0].rsplit('.', 1)[0]}.{good[1].rsplit('.', 1)[1]}"]
    return [*good, *spoiled, *mixed, strangers.issue(CLAIMS)]


moments = st.integers(-20, 60).map(lambda seconds: NOW + timedelta(seconds=seconds, microseconds=1))
reads = st.lists(st.tuples(st.sampled_from(tokens()), moments), max_size=40)


@given(reads, st.integers(0, 6))
def test_a_codec_that_remembers_says_what_a_fresh_one_would(
    asked: list[tuple[str, datetime]], size: int
) -> None:
    codec = codec_that_remembers(size)

    for token, now in asked:
        assert read(codec, token, now) == read(TokenCodec(KEYS, "issuer", DAY), token, now)


def test_only_so_many_are_remembered() -> None:
    remembered = VerifiedTokens(10)

    for number in range(1000):
        remembered.put(str(number), CLAIMS)

    assert sum(remembered.get(str(number)) is not None for number in range(1000)) <= 10


def test_who_keeps_asking_is_not_forgotten() -> None:
    remembered = VerifiedTokens(10)
    remembered.put("mine", CLAIMS)

    for number in range(1000):
        assert remembered.get("mine") == CLAIMS
        remembered.put(str(number), CLAIMS)


def test_a_refused_token_is_not_remembered() -> None:
    codec = codec_that_remembers(10)

    refused = [token for token in tokens() if read(codec, token, NOW) is None]

    assert refused
    assert all(codec._verified.get(token) is None for token in refused)


def read(codec: TokenCodec, token: str, now: datetime) -> Claims | None:
    try:
        return codec.read(token, now)
    except Unauthenticated:
        return None
