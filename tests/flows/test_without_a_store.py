"""With Redis gone, the database gone, or both: what is still served, and what is never let through."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from service.security.networks import Client
from service.settings import Settings
from service.stores.pipeline import Pipeline
from service.wiring import open_use_cases
from tests.backoffice import AUTH, PASSWORD, Backoffice, claims_of
from tests.conftest import FakeClock, Start
from tests.stores.fake_server import server_that_says
from tests.stores_in_use import Stores
from tests.timing import assert_within, time_limit, until

NO_REDIS = "redis://127.0.0.1:1/0"
CLIENT = ("orders", "s" * 32)
NEW_PASSWORD = "a different horse altogether"
CACHED_SECONDS = 1.0
UNAVAILABLE = {"message": "Service Unavailable"}

# No answer takes longer than a second, nor does the end of a service that lost its stores.
pytestmark = pytest.mark.timeout(10)

Ask = Callable[[Backoffice, str], Awaitable[httpx.Response]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, clients=(":".join(CLIENT),))


@pytest.fixture
def no_database(stores: Stores, tmp_path: Path) -> str:
    """Name a database of the kind this run works on, that nobody can open."""
    if stores.on_postgres:
        return "postgres://127.0.0.1:1/x"
    return f"sqlite://{tmp_path / 'missing' / 'x.sqlite3'}"


@pytest.fixture
def tokens(loop: asyncio.AbstractEventLoop, settings: Settings, clock: FakeClock) -> tuple[str, str]:
    """One token of causas that is alive and one that was revoked, while both stores were there."""

    async def log_in_twice_and_out_once() -> tuple[str, str]:
        client = Client.at("127.0.0.1")
        async with open_use_cases(settings, clock) as use_cases:
            await use_cases.create_user("causas", "Causas", PASSWORD, by="test")
            alive, revoked = [await use_cases.log_in("causas", PASSWORD, client) for _ in range(2)]
            principal, _ = await use_cases.authenticate(revoked)
            await use_cases.log_out(principal)
            return alive, revoked

    return loop.run_until_complete(log_in_twice_and_out_once())


async def log_in(client: Backoffice, token: str) -> httpx.Response:
    return await client.log_in()


async def who_am_i(client: Backoffice, token: str) -> httpx.Response:
    return await client.who_am_i(token)


async def log_out(client: Backoffice, token: str) -> httpx.Response:
    return await client.log_out(token)


async def log_out_everywhere(client: Backoffice, token: str) -> httpx.Response:
    return await client.log_out(token, "all")


async def refresh(client: Backoffice, token: str) -> httpx.Response:
    return await client.refresh(token)


async def change_password(client: Backoffice, token: str) -> httpx.Response:
    return await client.change_password(token, PASSWORD, NEW_PASSWORD)


async def list_sessions(client: Backoffice, token: str) -> httpx.Response:
    return await client.sessions(token)


async def end_session(client: Backoffice, token: str) -> httpx.Response:
    return await client.end_session(token, claims_of(token)["sid"])


async def introspect(client: Backoffice, token: str) -> httpx.Response:
    return await client.request("POST", f"{AUTH}/introspect", data={"token": token}, auth=CLIENT)


async def verify(client: Backoffice, token: str) -> httpx.Response:
    return await client.request("GET", f"{AUTH}/verify", token)


async def revoke(client: Backoffice, token: str) -> httpx.Response:
    return await client.request("POST", f"{AUTH}/revoke", data={"token": token}, auth=CLIENT)


@pytest.mark.parametrize("ask", [log_in, who_am_i, refresh, list_sessions])
async def test_without_redis_the_database_answers(start: Start, tokens: tuple[str, str], ask: Ask) -> None:
    client = (await start(redis_url=NO_REDIS)).client

    answer = await ask(client, tokens[0])

    assert answer.status_code == 200


async def test_without_redis_a_token_still_tells_who_one_is(start: Start, tokens: tuple[str, str]) -> None:
    client = (await start(redis_url=NO_REDIS)).client

    answer = await client.who_am_i(tokens[0])

    assert answer.json()["name"] == "Causas"
    assert answer.json()["session"]["id"] == claims_of(tokens[0])["sid"]


async def test_without_redis_a_token_works_as_soon_as_it_is_handed_out(
    start: Start, tokens: tuple[str, str]
) -> None:
    client = (await start(redis_url=NO_REDIS)).client

    token = await client.token()

    assert (await client.who_am_i(token)).status_code == 200


@pytest.mark.parametrize("ask", [who_am_i, refresh, list_sessions, log_out, change_password])
async def test_without_redis_a_revoked_token_is_refused(
    start: Start, tokens: tuple[str, str], ask: Ask
) -> None:
    client = (await start(redis_url=NO_REDIS)).client

    answer = await ask(client, tokens[1])

    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthenticated."})


@pytest.mark.parametrize(
    "ask", [log_out, log_out_everywhere, end_session, change_password, revoke], ids=lambda ask: ask.__name__
)
async def test_an_end_that_redis_did_not_hear_of_is_acknowledged_when_everybody_has_read_it(
    start: Start, tokens: tuple[str, str], ask: Ask
) -> None:
    client = (await start(redis_url=NO_REDIS)).client
    begun = time.monotonic()

    answer = await ask(client, tokens[0])
    took = time.monotonic() - begun

    assert answer.status_code in {200, 204}
    assert (await client.who_am_i(tokens[0])).status_code == 401
    assert took > 0.6
    assert_within(1, took)


@pytest.mark.parametrize(("workers", "allowed"), [(1, 2), (2, 1), (4, 1), (100, 1)])
async def test_without_redis_each_process_keeps_a_stricter_limit(
    start: Start, tokens: tuple[str, str], workers: int, allowed: int
) -> None:
    client = (await start(redis_url=NO_REDIS, workers=workers)).client

    answers = [await client.log_in(password="wrong") for _ in range(allowed + 2)]

    assert [answer.status_code for answer in answers] == [401] * allowed + [429] * 2
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 300  # the network's window is the longest


async def test_without_redis_one_blocked_account_blocks_no_other(
    start: Start, tokens: tuple[str, str]
) -> None:
    client = (await start(redis_url=NO_REDIS)).client
    while (await client.log_in("somebody", "wrong")).status_code == 401:
        pass

    assert (await client.log_in()).status_code == 200


async def test_without_redis_right_passwords_spend_nothing(start: Start, tokens: tuple[str, str]) -> None:
    client = (await start(redis_url=NO_REDIS)).client

    answers = [await client.log_in() for _ in range(8)]

    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize(
    ("ask", "more"),
    [
        *((ask, 0.0) for ask in (log_in, who_am_i, refresh, list_sessions, introspect, verify)),
        *(
            (ask, 0.6) for ask in (log_out, end_session, change_password, revoke)
        ),  # until everybody has read it
    ],
)
async def test_a_silent_redis_costs_a_request_one_timeout(
    start: Start, tokens: tuple[str, str], ask: Ask, more: float
) -> None:
    timeout = timedelta(milliseconds=250)
    async with server_that_says(b"") as silent:
        client = (await start(redis_url=silent, redis_timeout=timeout)).client

        with time_limit(1.85 * timeout.total_seconds() + more):
            await ask(client, tokens[0])


async def test_a_process_that_never_knew_what_is_revoked_vouches_for_nobody(
    start: Start, tokens: tuple[str, str], no_database: str
) -> None:
    client = (await start(database_url=no_database)).client

    assert_unavailable(await client.who_am_i(tokens[0]))


async def test_without_the_database_a_revoked_token_is_refused(
    start: Start, tokens: tuple[str, str], no_database: str
) -> None:
    client = (await start(database_url=no_database)).client

    assert (await client.who_am_i(tokens[1])).status_code == 401


@pytest.mark.parametrize(
    "ask",
    [log_in, log_out, log_out_everywhere, refresh, list_sessions, end_session, change_password, revoke],
    ids=lambda ask: ask.__name__,
)
async def test_without_the_database_nothing_is_acknowledged(
    start: Start, tokens: tuple[str, str], no_database: str, ask: Ask
) -> None:
    client = (await start(database_url=no_database)).client

    answer = await ask(client, tokens[0])

    assert_unavailable(answer)


async def test_without_the_database_a_session_that_redis_forgot_is_neither_served_nor_refused(
    start: Start, tokens: tuple[str, str], stores: Stores, no_database: str
) -> None:
    stores.forget_redis()
    client = (await start(database_url=no_database)).client

    assert_unavailable(await client.who_am_i(tokens[0]))


async def test_without_the_database_no_attempt_is_spent(
    start: Start, tokens: tuple[str, str], no_database: str
) -> None:
    client = (await start(database_url=no_database)).client

    answers = [await client.log_in(password="wrong") for _ in range(8)]

    assert {answer.status_code for answer in answers} == {503}


async def test_a_database_that_comes_back_is_used_without_a_restart(
    start: Start, tokens: tuple[str, str], stores: Stores, settings: Settings, no_database: str
) -> None:
    if stores.on_postgres:
        pytest.skip("a server that comes back needs another server")
    client = (await start(database_url=no_database)).client
    while_gone = [await client.log_in() for _ in range(3)]

    path = Path(no_database.removeprefix("sqlite://"))
    path.parent.mkdir()
    shutil.copy(str(settings.database_url).removeprefix("sqlite://"), path)
    afterwards = []

    async def is_used() -> bool:
        afterwards.append((await client.log_in()).status_code)
        return afterwards[-1] != 503

    await until(is_used)
    assert {answer.status_code for answer in while_gone} == {503}
    assert afterwards[-1] == 200


@pytest.mark.parametrize("ask", [log_in, who_am_i, introspect, verify, revoke], ids=lambda ask: ask.__name__)
async def test_without_either_store_nobody_is_let_in(
    start: Start, tokens: tuple[str, str], no_database: str, ask: Ask
) -> None:
    client = (await start(redis_url=NO_REDIS, database_url=no_database)).client

    assert_unavailable(await ask(client, tokens[0]))
    assert_unavailable(await ask(client, tokens[1]))


async def test_without_either_store_a_forged_token_is_known_for_what_it_is(
    start: Start, tokens: tuple[str, str], no_database: str
) -> None:
    client = (await start(redis_url=NO_REDIS, database_url=no_database)).client
    header, payload, signature = tokens[0].split(".")

    answer = await client.who_am_i(f"{header}.{payload}.{signature[::-1]}")

    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthenticated."})


async def test_without_redis_other_services_are_told_the_truth(start: Start, tokens: tuple[str, str]) -> None:
    client = (await start(redis_url=NO_REDIS)).client

    told = [(await introspect(client, token)).json()["active"] for token in tokens]
    vouched = [(await verify(client, token)).status_code for token in tokens]

    assert told == [True, False]
    assert vouched == [204, 401]


async def test_a_process_that_never_knew_what_is_revoked_calls_no_living_token_dead(
    start: Start, tokens: tuple[str, str], no_database: str
) -> None:
    client = (await start(database_url=no_database)).client

    assert_unavailable(await introspect(client, tokens[0]))
    assert_unavailable(await verify(client, tokens[0]))
    assert (await introspect(client, tokens[1])).json() == {"active": False}
    assert (await verify(client, tokens[1])).status_code == 401


async def test_without_either_store_what_is_no_token_of_ours_is_dead_all_the_same(
    start: Start, tokens: tuple[str, str], no_database: str
) -> None:
    client = (await start(redis_url=NO_REDIS, database_url=no_database)).client
    forged = tokens[0][:-4] + "AAAA"

    assert (await introspect(client, forged)).json() == {"active": False}
    assert (await verify(client, forged)).status_code == 401
    assert (await revoke(client, forged)).json() == {}


async def test_a_ready_service_says_so(client: Backoffice) -> None:
    answer = await client.request("GET", "/health/ready")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_the_stores_are_asked_once_a_second_however_often_a_probe_asks(
    start: Start, own_redis: str
) -> None:
    client = (await start(redis_url=own_redis)).client
    redis = Pipeline.connect(own_redis, timedelta(seconds=5))
    before = await pings(redis)

    with time_limit(CACHED_SECONDS):
        for _ in range(10):
            await client.request("GET", "/health/ready")

    asked = await pings(redis) - before
    await redis.close()
    assert asked == 1


async def test_without_redis_the_service_is_degraded_and_names_it(start: Start) -> None:
    client = (await start(redis_url=NO_REDIS)).client

    answer = await client.request("GET", "/health/ready")

    assert (answer.status_code, answer.json()) == (200, {"status": "degraded", "down": "redis"})


async def test_without_the_database_the_service_is_degraded_and_names_it(
    start: Start, no_database: str
) -> None:
    client = (await start(database_url=no_database)).client

    answer = await client.request("GET", "/health/ready")

    assert (answer.status_code, answer.json()) == (200, {"status": "degraded", "down": "database"})


async def test_without_either_store_the_service_is_not_ready_and_still_alive(
    start: Start, no_database: str
) -> None:
    client = (await start(redis_url=NO_REDIS, database_url=no_database)).client

    ready = await client.request("GET", "/health/ready")
    live = await client.request("GET", "/health/live")

    assert_unavailable(ready)
    assert (live.status_code, live.json()) == (200, {"status": "ok"})


async def test_an_outage_is_told_with_the_headers_of_every_answer(start: Start, no_database: str) -> None:
    client = (await start(database_url=no_database, cors_allowed_origins=("https://a.example",))).client

    answer = await client.log_in(headers={"Origin": "https://a.example"})

    assert_unavailable(answer)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert "retry-after" in answer.headers["access-control-expose-headers"].lower()


async def test_an_answer_of_the_login_names_its_limit_in_an_outage_too(
    start: Start, no_database: str
) -> None:
    client = (await start(database_url=no_database)).client

    answer = await client.request("POST", AUTH, json={"user": "causas", "password": "x"})

    assert answer.headers["x-ratelimit-limit"] == "5"


def assert_unavailable(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)
    assert answer.headers["retry-after"].isdigit()
    assert int(answer.headers["retry-after"]) >= 1


async def pings(redis: Pipeline) -> int:
    """Return how often the server was asked whether it is there."""
    found = await redis.execute("INFO", "commandstats")
    return int(found.get("cmdstat_ping", {}).get("calls", 0))
