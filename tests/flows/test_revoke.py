"""Another service wants a token dead: when it has its answer, so is the whole session."""

import asyncio
from typing import Any

import httpx
import pytest

from models import SecurityEvent, Session
from tests.backoffice import AUTH, PASSWORD, Backoffice, claims_of
from tests.conftest import FakeClock, Running, Start

CLIENT = ("orders", "s" * 32)


@pytest.fixture
def service(loop: asyncio.AbstractEventLoop, start: Start) -> Running:
    running: Running = loop.run_until_complete(start(clients=(":".join(CLIENT),)))
    loop.run_until_complete(running.use_cases.create_user("causas", "Causas", PASSWORD, by="test"))
    return running


async def revoke(client: Backoffice, token: str, form: str = "data") -> httpx.Response:
    body: dict[str, Any] = {form: {"token": token, "token_type_hint": "access_token"}}
    return await client.request("POST", f"{AUTH}/revoke", auth=CLIENT, **body)


@pytest.mark.parametrize("form", ["json", "data"])
async def test_a_revoked_token_is_refused_on_the_next_request(client: Backoffice, form: str) -> None:
    token = await client.token()

    answer = await revoke(client, token, form)

    assert (answer.status_code, answer.json()) == (200, {})
    assert (await client.who_am_i(token)).status_code == 401


async def test_every_token_of_the_session_is_dead_and_no_other(client: Backoffice, clock: FakeClock) -> None:
    first, other = await client.token(), await client.token()
    clock.advance(minutes=1)
    second = (await client.refresh(first)).json()["token"]

    await revoke(client, first)

    assert [(await client.who_am_i(token)).status_code for token in (first, second, other)] == [401, 401, 200]


async def test_an_expired_token_ends_what_is_left_of_its_session(
    client: Backoffice, clock: FakeClock
) -> None:
    first = await client.token()
    clock.advance(hours=7)
    second = (await client.refresh(first)).json()["token"]
    clock.advance(hours=2)
    before = (await client.who_am_i(second)).status_code

    answer = await revoke(client, first)

    assert (before, answer.status_code) == (200, 200)
    assert (await client.who_am_i(second)).status_code == 401


@pytest.mark.parametrize("kind", ["unknown", "forged", "malformed", "revoked", "expired"])
async def test_a_token_that_is_dead_already_is_no_error(
    client: Backoffice, clock: FakeClock, kind: str
) -> None:
    token = await client.token()
    if kind == "revoked":
        await revoke(client, token)
    if kind == "expired":
        clock.advance(days=2)
    sent = {"unknown": "0" * 32, "forged": token[:-4] + "AAAA", "malformed": "\0.é."}.get(kind, token)

    answer = await revoke(client, sent)

    assert (answer.status_code, answer.json()) == (200, {})


async def test_a_forged_token_ends_nothing(client: Backoffice) -> None:
    token = await client.token()
    header, payload, signature = token.split(".")

    await revoke(client, f"{header}.{payload}.{signature[::-1]}")
    await revoke(client, claims_of(token)["sid"])
    await revoke(client, claims_of(token)["jti"])

    assert (await client.who_am_i(token)).status_code == 200


async def test_it_is_written_down_which_client_it_was(client: Backoffice) -> None:
    token = await client.token()

    await revoke(client, token)

    row = await Session.get(id=claims_of(token)["sid"])
    assert (row.revoked_by, row.revoked_why) == ("client:orders", "revoked_by_client")


async def test_the_event_says_whose_session_it_was(client: Backoffice) -> None:
    token = await client.token()

    await revoke(client, token)

    event = await SecurityEvent.get(name="session_revoked")
    assert (event.user_id, event.by) == (int(claims_of(token)["sub"]), "client:orders")
