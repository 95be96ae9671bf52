"""Sign out, here, elsewhere or everywhere; and be put out."""

import asyncio

import pytest

from tests.backoffice import PASSWORD, Backoffice, claims_of
from tests.conftest import Running


async def test_a_logged_out_token_is_refused_on_the_next_request(client: Backoffice) -> None:
    token = await client.token()

    answer = await client.log_out(token)

    assert (answer.status_code, answer.content) == (204, b"")
    after = await client.who_am_i(token)
    assert (after.status_code, after.json()) == (401, {"message": "Unauthenticated."})


@pytest.mark.parametrize(
    ("scope", "alive"),
    [("current", [False, True, True]), ("others", [True, False, False]), ("all", [False, False, False])],
)
async def test_a_scope_says_which_sessions_end(client: Backoffice, scope: str, alive: list[bool]) -> None:
    tokens = [await client.token() for _ in range(3)]

    await client.log_out(tokens[0], scope)

    found = [(await client.who_am_i(token)).status_code == 200 for token in tokens]
    assert found == alive


async def test_an_unknown_scope_ends_nothing(client: Backoffice) -> None:
    token = await client.token()

    answer = await client.log_out(token, "everything")

    assert answer.status_code == 422
    assert (await client.who_am_i(token)).status_code == 200


async def test_a_refreshed_token_dies_with_its_session(client: Backoffice) -> None:
    old = await client.token()
    new = (await client.refresh(old)).json()["token"]

    await client.log_out(old)

    assert (await client.who_am_i(new)).status_code == 401


async def test_a_dead_token_refreshes_nothing(client: Backoffice) -> None:
    token = await client.token()
    await client.log_out(token)

    assert (await client.refresh(token)).status_code == 401


async def test_a_session_survives_the_loss_of_every_key(service: Running, client: Backoffice) -> None:
    alive, dead = await client.token(), await client.token()
    await client.log_out(dead)
    redis = service.use_cases.authenticate.sessions.redis
    await redis.execute("DEL", *await redis.execute("KEYS", "bo:*"))

    first = [(await client.who_am_i(token)).status_code for token in (alive, dead)]
    again = [(await client.who_am_i(token)).status_code for token in (alive, dead)]

    assert first == again == [200, 401]
    sid = claims_of(alive)["sid"]
    assert any(sid in key for key in await redis.execute("KEYS", "bo:*")), "it was not refilled"


async def test_a_tombstone_is_not_overwritten_by_a_late_refill(service: Running, client: Backoffice) -> None:
    token = await client.token()
    sessions = service.use_cases.authenticate.sessions
    claims = service.use_cases.authenticate.codec.read_ignoring_time(token)
    copy = await sessions.check(claims)
    await client.log_out(token)

    await sessions.put(copy)

    assert (await client.who_am_i(token)).status_code == 401


async def test_an_operator_ends_all_sessions_of_a_user(service: Running, client: Backoffice) -> None:
    tokens = [await client.token(), await client.token()]

    ended = await service.use_cases.revoke.user("causas", by="test")

    assert ended == 2
    assert [(await client.who_am_i(token)).status_code for token in tokens] == [401, 401]
    assert await service.use_cases.revoke.user("causas", by="test") == 0


async def test_a_disabled_users_tokens_are_refused_even_after_she_is_enabled(
    service: Running, client: Backoffice
) -> None:
    token = await client.token()

    await service.use_cases.manage_users.disable("causas", by="test")
    while_disabled = await client.who_am_i(token)
    await service.use_cases.manage_users.enable("causas", by="test")
    afterwards = await client.who_am_i(token)

    assert (while_disabled.status_code, afterwards.status_code) == (401, 401)
    assert (await client.log_in()).status_code == 200


async def test_a_logout_beside_a_refresh_leaves_nothing_alive(client: Backoffice) -> None:
    for _ in range(10):
        token = await client.token()

        refreshed, logged_out = await asyncio.gather(client.refresh(token), client.log_out(token))

        assert logged_out.status_code == 204
        if refreshed.status_code == 200:
            assert (await client.who_am_i(refreshed.json()["token"])).status_code == 401
        assert (await client.who_am_i(token)).status_code == 401


async def test_a_new_password_set_by_an_operator_ends_every_session(
    service: Running, client: Backoffice
) -> None:
    token = await client.token()

    ended = await service.use_cases.manage_users.set_password("causas", PASSWORD + "!", by="test")

    assert ended == 1
    assert (await client.who_am_i(token)).status_code == 401
    assert (await client.log_in(password=PASSWORD + "!")).status_code == 200
