"""Sign out, here, elsewhere or everywhere; and be put out."""

import asyncio
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, Self

import pytest
from msgspec import json, structs
from tortoise.queryset import QuerySet

from models import Session
from service.security.principal import Principal
from service.security.tokens import new_id
from service.settings import Settings
from service.stores import keys
from service.stores.pipeline import Pipeline
from service.stores.revocations import Revocations
from service.uncancelled import finish_all
from service.use_cases.log_out import Scope
from tests.backoffice import PASSWORD, Backoffice, claims_of
from tests.conftest import FakeClock, Running, Start


class LoginBetween(Revocations):
    """Revocations beside which a session is opened, as PostgreSQL lets be seen between two statements."""

    @classmethod
    def of(cls, revocations: Revocations) -> Self:
        return cls(**{field.name: getattr(revocations, field.name) for field in fields(revocations)})

    async def end_rows(self, chosen: QuerySet[Session], **how: Any) -> int:
        ended = await super().end_rows(chosen, **how)
        (callers,) = await Session.filter(revoked_at=None)
        await callers.clone(new_id()).save(force_create=True)
        return ended


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
    copy, _ = await sessions.check(claims)
    await client.log_out(token)

    await sessions.put(copy)

    assert (await client.who_am_i(token)).status_code == 401


async def test_a_session_opened_while_the_others_end_is_not_buried_alive(
    service: Running, client: Backoffice
) -> None:
    token = await client.token()
    use_cases = service.use_cases
    principal, _ = await use_cases.authenticate(token)
    log_out = replace(use_cases.log_out, revocations=LoginBetween.of(use_cases.log_out.revocations))

    await log_out(principal, Scope.OTHERS)

    (opened,) = await Session.filter(revoked_at=None).exclude(id=principal.sid)
    redis = use_cases.authenticate.sessions.redis
    assert await redis.execute("GET", keys.session(opened.user_id, opened.id)) is None


async def test_an_operator_ends_all_sessions_of_a_user(service: Running, client: Backoffice) -> None:
    tokens = [await client.token(), await client.token()]

    ended = await service.revoke("causas")

    assert ended == 2
    assert [(await client.who_am_i(token)).status_code for token in tokens] == [401, 401]
    assert await service.revoke("causas") == 0


async def test_an_end_is_remembered_for_as_long_as_a_token_may_last(
    start: Start, settings: Settings, clock: FakeClock
) -> None:
    long_ago: Running = await start()
    await long_ago.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
    token = await long_ago.client.token()
    redis = Pipeline.connect(settings.redis_url or "", settings.redis_timeout)
    user_id, sid = int(claims_of(token)["sub"]), claims_of(token)["sid"]
    names = (keys.session(user_id, sid), keys.version(user_id))
    await finish_all()
    snapshot = {name: await redis.execute("GET", name) for name in names}

    # Sessions are to be shorter from now on, and Redis comes back from before they ended.
    shorter = {"session_ttl": timedelta(hours=1), "session_max_ttl": timedelta(hours=1)}
    await (await start(**shorter)).revoke("causas")
    clock.advance(hours=1, minutes=2)
    await redis.execute("DEL", *await redis.execute("KEYS", "bo:*"))
    for name, value in snapshot.items():
        await redis.execute("SET", name, value, "EX", 60)
    await redis.close()

    assert (await (await start(**shorter)).client.who_am_i(token)).status_code == 401


async def test_a_disabled_users_tokens_are_refused_even_after_she_is_enabled(
    service: Running, client: Backoffice
) -> None:
    token = await client.token()

    await service.use_cases.disable_user("causas", by="test")
    while_disabled = await client.who_am_i(token)
    await service.use_cases.enable_user("causas", by="test")
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

    ended = await service.use_cases.set_password("causas", PASSWORD + "!", by="test")

    assert ended == 1
    assert (await client.who_am_i(token)).status_code == 401
    assert (await client.log_in(password=PASSWORD + "!")).status_code == 200


@pytest.mark.parametrize(
    "damage",
    [
        *("", "{}", "nonsense", "[1]", '"revoked"', '{"sid":"another"}'),
        # Well-formed, and of another session: a reply may have gone astray.
        *({"sid": "0" * 32}, {"user_id": 0, "user": "mallory"}, {"version": 2}),
    ],
    ids=str,
)
async def test_a_damaged_copy_lets_nobody_in_and_puts_nobody_out(
    service: Running, client: Backoffice, caplog: pytest.LogCaptureFixture, damage: str | dict[str, object]
) -> None:
    token = await client.token()
    before = (await client.who_am_i(token)).json()
    await finish_all()
    sessions = service.use_cases.authenticate.sessions
    copy, _ = await sessions.check(service.use_cases.authenticate.codec.read_ignoring_time(token))
    key = keys.session(copy.user_id, copy.sid)
    await sessions.redis.execute("SET", key, damaged(copy, damage), "EX", 60)

    answer = await client.who_am_i(token)

    assert (answer.status_code, answer.json()) == (200, before)
    assert [record.message for record in caplog.records].count("session_copy_mismatch") == 1
    assert json.decode(await sessions.redis.execute("GET", key), type=Principal) == copy, "it was not mended"


def damaged(copy: Principal, damage: str | dict[str, object]) -> bytes:
    return damage.encode() if isinstance(damage, str) else json.encode(structs.replace(copy, **damage))
