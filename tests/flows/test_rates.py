"""Sessions and networks are held to a rate, are told so, and wherever Redis cannot count."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import pytest

from service.settings import Rate
from service.stores.pipeline import Pipeline
from tests.backoffice import AUTH, PASSWORD, Backoffice, claims_of
from tests.conftest import FakeClock, Running, Start

pytestmark = pytest.mark.documented

# Three requests at once, then one a minute.
THREE = Rate(1, timedelta(minutes=1), burst=3)
# One request at once, then one a second.
ONE_A_SECOND = Rate(1, timedelta(seconds=1), burst=1)
NO_REDIS = "redis://127.0.0.1:1/0"
HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "ratelimit-policy", "ratelimit")

Signed = Callable[..., Awaitable[tuple[Running, str]]]
Ask = Callable[[Backoffice, str], Awaitable[httpx.Response]]


@pytest.fixture
def signed_in(start: Start) -> Signed:
    """Start a service, sign causas in, and give a token that nothing was charged to yet."""

    async def started(**changes: object) -> tuple[Running, str]:
        running = await start(**changes)
        await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
        return running, await running.client.token()

    return started


async def who_am_i(client: Backoffice, token: str) -> httpx.Response:
    return await client.who_am_i(token)


async def head(client: Backoffice, token: str) -> httpx.Response:
    return await client.request("HEAD", AUTH, token)


async def list_sessions(client: Backoffice, token: str) -> httpx.Response:
    return await client.sessions(token)


async def refresh(client: Backoffice, token: str) -> httpx.Response:
    return await client.refresh(token)


async def log_out(client: Backoffice, token: str) -> httpx.Response:
    return await client.log_out(token)


async def log_out_of_nonsense(client: Backoffice, token: str) -> httpx.Response:
    return await client.log_out(token, "nonsense")


async def end_no_session(client: Backoffice, token: str) -> httpx.Response:
    return await client.end_session(token, "0" * 32)


async def end_this_session(client: Backoffice, token: str) -> httpx.Response:
    return await client.end_session(token, claims_of(token)["sid"])


async def send_no_token(client: Backoffice, _token: str) -> httpx.Response:
    return await client.who_am_i()


async def send_a_bad_token(client: Backoffice, token: str) -> httpx.Response:
    return await client.who_am_i(token[:-4] + "AAAA")


async def read_the_documentation(client: Backoffice, _token: str) -> httpx.Response:
    return await client.request("GET", "/docs")


async def read_the_description(client: Backoffice, _token: str) -> httpx.Response:
    return await client.request("GET", "/docs/openapi.json")


async def ask_for_nothing(client: Backoffice, _token: str) -> httpx.Response:
    return await client.request("GET", "/wp-login.php")


async def ask_for_nothing_with_a_token(client: Backoffice, token: str) -> httpx.Response:
    return await client.request("GET", "/v1/backoffice/nothing", token)


async def use_a_wrong_method(client: Backoffice, token: str) -> httpx.Response:
    return await client.request("PATCH", AUTH, token)


WITH_A_SESSION = [
    who_am_i,
    head,
    list_sessions,
    refresh,
    log_out,
    log_out_of_nonsense,
    end_no_session,
    end_this_session,
]
FOR_A_NETWORK = [
    send_no_token,
    send_a_bad_token,
    read_the_documentation,
    read_the_description,
    ask_for_nothing,
    ask_for_nothing_with_a_token,
    use_a_wrong_method,
]


@pytest.mark.parametrize("ask", WITH_A_SESSION, ids=lambda ask: ask.__name__)
async def test_what_a_session_asks_for_is_charged_to_it(signed_in: Signed, ask: Ask) -> None:
    service, token = await signed_in(limit_session=THREE, limit_network=THREE)

    answer = await ask(service.client, token)

    assert limit_of(answer) == ("3", "2", '"session";q=3;w=180', '"session";r=2;t=60')


@pytest.mark.parametrize("ask", FOR_A_NETWORK, ids=lambda ask: ask.__name__)
async def test_what_is_asked_without_a_session_is_charged_to_the_network(signed_in: Signed, ask: Ask) -> None:
    service, token = await signed_in(limit_session=THREE, limit_network=THREE)

    answer = await ask(service.client, token)

    assert limit_of(answer) == ("3", "2", '"network";q=3;w=180', '"network";r=2;t=60')


@pytest.mark.parametrize("ask", [who_am_i, read_the_documentation], ids=lambda ask: ask.__name__)
async def test_a_spent_rate_is_a_429_that_says_when_to_come_back(
    signed_in: Signed, clock: FakeClock, ask: Ask
) -> None:
    service, token = await signed_in(limit_session=THREE, limit_network=THREE)
    answers = [await ask(service.client, token) for _ in range(4)]

    refused = answers[-1]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert refused.json() == {"message": "Too Many Attempts."}
    assert refused.headers["x-ratelimit-remaining"] == "0"
    wait = int(refused.headers["retry-after"])
    assert 55 <= wait <= 60
    assert int(refused.headers["x-ratelimit-reset"]) == math.ceil(clock().timestamp()) + wait


@pytest.mark.parametrize("ask", [who_am_i, read_the_documentation], ids=lambda ask: ask.__name__)
async def test_whoever_sleeps_what_a_429_says_is_served(signed_in: Signed, ask: Ask) -> None:
    service, token = await signed_in(limit_session=ONE_A_SECOND, limit_network=ONE_A_SECOND)
    await ask(service.client, token)
    refused = await ask(service.client, token)

    await asyncio.sleep(int(refused.headers["retry-after"]))
    answer = await ask(service.client, token)

    assert (refused.status_code, answer.status_code) == (429, 200)


async def test_a_429_takes_nothing_from_what_comes_back(signed_in: Signed) -> None:
    service, token = await signed_in(limit_session=ONE_A_SECOND)
    await service.client.who_am_i(token)
    refused = [await service.client.who_am_i(token) for _ in range(20)]

    await asyncio.sleep(int(refused[0].headers["retry-after"]))
    answer = await service.client.who_am_i(token)

    assert answer.status_code == 200


async def test_a_good_token_is_served_where_bad_ones_have_spent_the_rate_of_the_network(
    signed_in: Signed,
) -> None:
    service, token = await signed_in(limit_network=THREE)
    bad = [await send_a_bad_token(service.client, token) for _ in range(5)]

    answer = await service.client.who_am_i(token)

    assert [refused.status_code for refused in bad] == [401] * 3 + [429] * 2
    assert answer.status_code == 200


async def test_a_spent_network_can_still_sign_in(signed_in: Signed) -> None:
    service, _ = await signed_in(limit_network=THREE)
    for _ in range(5):
        await service.client.who_am_i()

    assert (await service.client.log_in()).status_code == 200


async def test_each_session_has_a_rate_of_its_own(signed_in: Signed) -> None:
    service, token = await signed_in(limit_session=THREE)
    other = await service.client.token()
    for _ in range(4):
        await service.client.who_am_i(token)

    assert (await service.client.who_am_i(other)).status_code == 200


async def test_a_refreshed_token_is_charged_to_the_same_session(signed_in: Signed) -> None:
    service, token = await signed_in(limit_session=THREE)
    for _ in range(2):
        await service.client.who_am_i(token)
    fresh = (await service.client.refresh(token)).json()["token"]

    assert (await service.client.who_am_i(fresh)).status_code == 429


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("POST", "/health/live"),
        ("GET", "/metrics"),
        ("DELETE", "/metrics"),
        ("GET", "/.well-known/jwks.json"),
        ("PUT", "/.well-known/jwks.json"),
        ("OPTIONS", AUTH),
        ("OPTIONS", "/docs"),
        ("OPTIONS", "/nothing"),
    ],
)
async def test_probes_and_preflights_are_charged_to_nobody(start: Start, method: str, path: str) -> None:
    client = (await start(limit_network=THREE)).client

    answers = [await client.request(method, path) for _ in range(5)]

    assert 429 not in {answer.status_code for answer in answers}
    assert limit_of(answers[-1]) == (None,) * 4
    assert (await client.request("GET", "/docs")).headers["x-ratelimit-remaining"] == "2"


@pytest.mark.parametrize(
    ("path", "header", "status"),
    [
        (AUTH, f"X-Long: {'x' * 9000}", 413),
        (f"{AUTH}/verify", f"X-Long: {'x' * 9000}", 413),
        (AUTH, "X-Odd: 1\0", 400),
    ],
)
async def test_a_head_that_cannot_be_read_is_charged_to_nobody(
    start: Start, path: str, header: str, status: int
) -> None:
    client = (await start(limit_network=THREE)).client
    raw = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode()

    answers = [await client.raw(raw) for _ in range(5)]

    assert {answer.partition(b"\r\n")[0].split()[1] for answer in answers} == {str(status).encode()}
    assert not any(b"ratelimit" in answer.lower() for answer in answers)
    assert (await client.request("GET", "/docs")).headers["x-ratelimit-remaining"] == "2"


async def test_a_rate_that_is_switched_off_is_not_spoken_of(signed_in: Signed) -> None:
    service, token = await signed_in(limit_session=None, limit_network=None)

    answers = [await ask(service.client, token) for ask in (who_am_i, send_no_token, ask_for_nothing)]

    assert [limit_of(answer) for answer in answers] == [(None,) * 4] * 3


@pytest.mark.parametrize(
    "command",
    [("REPLICAOF", "127.0.0.1", "1"), ("CONFIG", "SET", "maxmemory", "1")],
    ids=["read-only", "full"],
)
@pytest.mark.parametrize(
    ("ask", "status"), [(who_am_i, 200), (send_no_token, 401)], ids=["session", "network"]
)
async def test_where_redis_takes_no_writes_each_process_keeps_the_rate(
    signed_in: Signed, own_redis: str, command: tuple[str, ...], ask: Ask, status: int
) -> None:
    service, token = await signed_in(redis_url=own_redis, limit_session=THREE, limit_network=THREE, workers=1)
    redis = Pipeline.connect(own_redis, timedelta(seconds=5))
    await redis.execute(*command)

    answers = [await ask(service.client, token) for _ in range(5)]

    await redis.close()
    assert [answer.status_code for answer in answers] == [status] * 3 + [429] * 2
    assert 55 <= int(answers[-1].headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("ask", "status"), [(who_am_i, 200), (send_no_token, 401)], ids=["session", "network"]
)
async def test_without_redis_each_process_keeps_the_rate(signed_in: Signed, ask: Ask, status: int) -> None:
    service, token = await signed_in(redis_url=NO_REDIS, limit_session=THREE, limit_network=THREE, workers=1)

    answers = [await ask(service.client, token) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [status] * 3 + [429] * 2


def limit_of(answer: httpx.Response) -> tuple[str | None, ...]:
    return tuple(answer.headers.get(name) for name in HEADERS)
