"""Exchange credentials for a token."""

import asyncio
import threading
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
from tortoise.expressions import F

from models import IssuedToken, Session, User
from service.security.networks import Client
from tests.backoffice import AUTH, PASSWORD, Backoffice, claims_of
from tests.conftest import FakeClock, Running, Start
from tests.timing import until

REFUSED = {"message": "These credentials do not match our records."}


async def test_the_right_password_gets_a_token(client: Backoffice) -> None:
    answer = await client.log_in("causas", PASSWORD)

    assert answer.status_code == 200
    assert list(answer.json()) == ["token"]
    assert answer.json()["token"].startswith("eyJ0e")


async def test_the_token_says_what_is_documented(client: Backoffice) -> None:
    token = await client.token()

    header = jwt.get_unverified_header(token)
    claims = claims_of(token)
    assert set(header) == {"typ", "alg", "kid"}
    assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "ver"}
    assert (claims["iss"], claims["aud"], claims["ver"]) == ("backoffice", "backoffice", 1)
    assert isinstance(claims["sub"], str)
    assert len(claims["sid"]) == len(claims["jti"]) == 32
    assert claims["exp"] - claims["iat"] == 8 * 3600


async def test_two_logins_of_one_second_differ_and_both_are_recorded(client: Backoffice) -> None:
    tokens = [await client.token(), await client.token()]

    claims = [claims_of(token) for token in tokens]
    assert claims[0]["jti"] != claims[1]["jti"]
    assert claims[0]["sid"] != claims[1]["sid"]
    assert {row.jti for row in await IssuedToken.all()} == {claim["jti"] for claim in claims}
    assert {row.id for row in await Session.all()} == {claim["sid"] for claim in claims}


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("causas", "wrong"),
        ("nobody", PASSWORD),
        ("causas", PASSWORD + " "),
        ("causas", PASSWORD.upper()),
        ("causas", "x" * 1024),
        ("causas", "nul\0inside"),
    ],
)
async def test_anything_else_is_refused_in_the_same_words(
    client: Backoffice, user: str, password: str
) -> None:
    answer = await client.log_in(user, password)

    assert answer.status_code == 401
    assert answer.json() == REFUSED
    assert answer.headers["www-authenticate"] == 'Bearer realm="backoffice"'


async def test_a_disabled_user_is_refused_in_the_same_words(service: Running, client: Backoffice) -> None:
    await service.use_cases.disable_user("causas", by="test")

    answer = await client.log_in()

    assert (answer.status_code, answer.json()) == (401, REFUSED)


@pytest.mark.parametrize("spelling", ["CAUSAS", "  causas ", "\uff43\uff41\uff55\uff53\uff41\uff53"])
async def test_spellings_of_one_name_are_one_user(client: Backoffice, spelling: str) -> None:
    answer = await client.log_in(spelling)

    assert answer.status_code == 200


async def test_the_sixth_attempt_within_a_minute_is_told_to_wait(client: Backoffice) -> None:
    for remaining in (4, 3, 2, 1, 0):
        answer = await client.log_in(password="wrong")
        assert answer.status_code == 401
        assert answer.headers["x-ratelimit-remaining"] == str(remaining)

    answer = await client.log_in()

    seconds = answer.headers["retry-after"]
    sentence = f"Too many login attempts. Please try again in {seconds} seconds."
    assert answer.status_code == 429
    assert answer.json() == {"message": sentence, "errors": {"user": [sentence]}}
    assert 55 <= int(seconds) <= 60
    assert answer.headers["x-ratelimit-limit"] == "5"
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert answer.headers["ratelimit-policy"] == '"login";q=5;w=60'
    assert answer.headers["ratelimit"].startswith('"login";r=0;t=')
    assert int(answer.headers["x-ratelimit-reset"]) > 0


async def test_parallel_guesses_compute_no_more_hashes_than_the_limit(
    service: Running, client: Backoffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = 0
    hashing = service.use_cases.log_in.verify_password.hashing
    run_by = hashing.run_by

    async def counting(*arguments: Any) -> object:
        nonlocal hashes
        hashes += 1
        return await run_by(*arguments)

    monkeypatch.setattr(hashing, "run_by", counting)

    answers = await asyncio.gather(*(client.log_in(password="wrong") for _ in range(50)))

    assert hashes == 5
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 45


async def test_a_success_forgets_the_failures_before_it(client: Backoffice) -> None:
    for _ in range(4):
        await client.log_in(password="wrong")
    await client.token()

    answers = [await client.log_in(password="wrong") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [401] * 5


async def test_the_limit_can_be_switched_off(start: Start) -> None:
    running = await start(limit_login=None)

    answers = [await running.client.log_in(password="wrong") for _ in range(7)]

    assert {answer.status_code for answer in answers} == {401}
    assert "x-ratelimit-limit" not in answers[0].headers


async def test_a_password_changed_while_its_hash_was_computed_gets_nobody_in(
    service: Running, client: Backoffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashing = service.use_cases.log_in.verify_password.hashing
    run_by = hashing.run_by

    async def slow(*arguments: Any) -> object:
        result = await run_by(*arguments)
        await User.filter(user_key="causas").update(session_version=F("session_version") + 1)
        return result

    monkeypatch.setattr(hashing, "run_by", slow)

    answer = await client.log_in()

    assert (answer.status_code, answer.json()) == (401, REFUSED)
    assert await Session.all().count() == 0


async def test_an_imported_laravel_hash_verifies_and_is_upgraded(
    service: Running, client: Backoffice
) -> None:
    laravel = "$2y$10$92IXUNpkjO0rOQ5byMi.Ye4oKoEa3Ro9llC/.og/at2.uheWG/igi"  # "password", in every Laravel
    await User.filter(user_key="causas").update(password_hash=laravel)

    answer = await client.log_in(password="password")

    assert answer.status_code == 200
    await until(lambda: User.filter(password_hash__startswith="$bcrypt-sha256$v=2,t=2b,r=4$").exists())
    assert (await client.log_in(password="password")).status_code == 200


async def test_the_oldest_session_makes_room_for_a_login_beyond_the_cap(
    start: Start, clock: FakeClock
) -> None:
    running = await start(sessions_per_user=2)
    await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
    client = running.client
    tokens = []
    for _ in range(3):
        tokens.append(await client.token())
        clock.advance(seconds=1)

    statuses = [(await client.who_am_i(token)).status_code for token in tokens]

    assert statuses == [401, 200, 200]


async def test_a_login_is_not_ended_by_the_cap_that_it_exceeds_itself(start: Start, clock: FakeClock) -> None:
    running = await start(sessions_per_user=1)
    await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
    client = running.client
    before = await client.token()
    # Of another instance, whose clock is behind.
    clock.advance(seconds=-3)

    after = await client.token()

    assert [(await client.who_am_i(token)).status_code for token in (before, after)] == [401, 200]


async def test_the_published_demo_password_opens_nothing_on_servers(
    service: Running, client: Backoffice
) -> None:
    await User.filter(user_key="causas").update(
        password_hash=service.use_cases.create_user.passwords.hash("causas123")
    )

    answer = await client.log_in(password="causas123")

    assert answer.status_code == 401


async def test_every_redis_key_has_an_end(service: Running, client: Backoffice) -> None:
    token = await client.token()
    await client.log_in(password="wrong")
    await client.log_out(token)
    redis = service.use_cases.authenticate.sessions.redis

    keys = await redis.execute("KEYS", "bo:*")

    assert len(keys) >= 3
    assert all([await redis.execute("TTL", key) > 0 for key in keys])


async def test_the_answer_names_its_limit_even_if_the_body_was_no_good(client: Backoffice) -> None:
    answer = await client.request("POST", AUTH, json={})

    assert answer.status_code == 422
    assert answer.headers["x-ratelimit-limit"] == "5"


async def test_a_login_whose_hash_would_begin_too_late_is_refused_before_it_is_counted(start: Start) -> None:
    running = await start(login_deadline=timedelta(milliseconds=100))
    await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
    hashing, may_end = running.use_cases.log_in.verify_password.hashing, threading.Event()
    await hashing.run(time.sleep, 0.3)

    queue = asyncio.create_task(hashing.run(may_end.wait, 10))
    await asyncio.sleep(0)
    answer = await running.client.log_in(password="wrong")
    may_end.set()
    await queue

    assert (answer.status_code, answer.json()) == (503, {"message": "Service Unavailable"})
    assert answer.headers["retry-after"] == "1"
    explanation = await running.use_cases.explain_login("causas", Client.at("127.0.0.1"))
    assert explanation.counters is not None
    assert [count.attempts for _, count in explanation.counters] == [0, 0, 0]
