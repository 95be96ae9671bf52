"""Whoever verifies tokens by herself finds the public keys, and nothing of the private ones."""

import asyncio
from typing import Any

import jwt
import pytest
from jwt import PyJWKClient

from tests.backoffice import PASSWORD, claims_of
from tests.conftest import Running, Start
from tests.unit.jwks import ALGORITHMS, jwk_set, private_jwk, public_jwk

KEYS = "/.well-known/jwks.json"
ASYMMETRIC = [algorithm for algorithm in ALGORITHMS if algorithm != "HS256"]
# Members that hold private material (RFC 7518 section 6).
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


async def published(running: Running) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = (await running.client.request("GET", KEYS)).json()["keys"]
    return keys


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
async def test_a_token_of_ours_verifies_by_the_published_key(start: Start, algorithm: str) -> None:
    running = await start(jwt_keys=jwk_set(private_jwk(algorithm, "one"), private_jwk("HS256", "two")))
    await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
    token = await running.client.token()
    fetcher = PyJWKClient(running.client._base + KEYS)

    key = await asyncio.to_thread(fetcher.get_signing_key_from_jwt, token)

    assert jwt.decode(token, key, [algorithm], audience="backoffice", issuer="backoffice") == claims_of(token)


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
async def test_a_key_says_what_it_is_for_and_nothing_more(start: Start, algorithm: str) -> None:
    running = await start(jwt_keys=jwk_set(private_jwk(algorithm, "one")))

    [key] = await published(running)

    public = {"kid": "one", "alg": algorithm, "use": "sig"} | public_jwk(algorithm, "one")
    assert key == public
    assert not PRIVATE & set(key)


async def test_every_key_that_verifies_is_there_and_the_signing_one_first(start: Start) -> None:
    ring = [private_jwk("ES256", "new"), private_jwk("EdDSA", "next"), public_jwk("RS256", "old")]
    running = await start(jwt_keys=jwk_set(*ring))

    assert [key["kid"] for key in await published(running)] == ["new", "next", "old"]


@pytest.mark.parametrize(
    "keys", [{}, {"jwt_secret": "s" * 32}, {"jwt_keys": jwk_set(private_jwk("HS256", "secret"))}]
)
async def test_a_symmetric_key_is_never_published(start: Start, keys: dict[str, str]) -> None:
    answer = await (await start(**keys)).client.request("GET", KEYS)

    assert (answer.status_code, answer.text) == (200, '{"keys":[]}')


async def test_the_keys_may_be_kept_for_ten_minutes(start: Start) -> None:
    client = (await start()).client

    answers = [await client.request(method, KEYS) for method in ("GET", "HEAD")]

    for answer in answers:
        assert answer.headers.get_list("cache-control") == ["public, max-age=600"]
        assert answer.headers["content-type"] == "application/json"


async def test_nobody_pays_for_the_keys(start: Start) -> None:
    client = (await start()).client

    answers = [await client.request("GET", KEYS) for _ in range(100)]

    assert {answer.status_code for answer in answers} == {200}
    assert not any("ratelimit" in name for name in answers[0].headers)
