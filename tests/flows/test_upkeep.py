"""What the service writes down on the side, and how the rows of the past go."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from models import IssuedToken, KnownNetwork, LoginFailures, SecurityEvent, Session
from service.stores.database import Database
from tests.backoffice import Backoffice, claims_of
from tests.conftest import FakeClock, Running


async def prune(service: Running) -> dict[str, int]:
    return await service.use_cases.prune(by="test")


async def forget_events(service: Running) -> None:
    """Leave no event of what was done so far, written or not."""
    await service.use_cases.events.write()
    await SecurityEvent.all().delete()


async def test_a_session_is_seen_when_it_is_used_and_written_down_later(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    used, unused = await client.token(), await client.token()
    clock.advance(minutes=5)
    await client.who_am_i(used)
    before = await Session.get(id=claims_of(used)["sid"])

    await service.use_cases.last_seen.write()

    after = {row.id: row.last_seen_at for row in await Session.all()}
    assert before.last_seen_at < clock()
    assert after[claims_of(used)["sid"]] == clock()
    assert after[claims_of(unused)["sid"]] < clock()


async def test_what_was_seen_is_written_when_the_service_stops(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    token = await client.token()
    clock.advance(minutes=5)
    await client.who_am_i(token)

    await service.use_cases.last_seen.stop()

    assert (await Session.get(id=claims_of(token)["sid"])).last_seen_at == clock()


async def test_nothing_that_matters_is_pruned(service: Running, client: Backoffice) -> None:
    token = await client.token()
    await client.log_in(password="wrong")
    await client.log_out(await client.token())

    assert await prune(service) == {}
    assert (await client.who_am_i(token)).status_code == 200


async def test_ended_sessions_and_their_tokens_are_pruned(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    await client.refresh(await client.token())
    clock.advance(hours=8, seconds=66)
    alive = await client.token()

    deleted = await prune(service)

    assert deleted == {"issued_tokens": 2, "sessions": 1}
    assert await Session.all().count() == await IssuedToken.all().count() == 1
    assert (await client.who_am_i(alive)).status_code == 200


async def test_a_session_is_kept_until_its_last_token_has_ended(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    token = await client.token()
    clock.advance(hours=7)
    refreshed = (await client.refresh(token)).json()["token"]
    clock.advance(hours=2)

    deleted = await prune(service)

    assert deleted == {"issued_tokens": 1}
    assert (await client.who_am_i(refreshed)).status_code == 200


async def test_history_is_pruned_after_its_time(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    token = await client.token()
    await forget_events(service)
    await SecurityEvent.create(name="old", at=clock())
    await LoginFailures.create(account="x")
    clock.advance(days=401)
    await SecurityEvent.create(name="new", at=clock() - timedelta(days=399))

    deleted = await prune(service)

    assert deleted["known_networks"] == deleted["login_failures"] == deleted["security_events"] == 1
    assert [event.name for event in await SecurityEvent.all()] == ["new"]
    assert await KnownNetwork.all().count() == 0
    assert (await client.who_am_i(token)).status_code == 401


async def test_what_is_renewed_while_it_is_being_pruned_stays(
    service: Running, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await LoginFailures.create(account="x")
    clock.advance(days=401)
    read = Database.read

    async def renewed_after(database: Database, work: Any) -> Any:
        found = await read(database, work)
        await LoginFailures.all().update(updated_at=clock())
        return found

    monkeypatch.setattr(Database, "read", renewed_after)

    assert "login_failures" not in await prune(service)
    assert await LoginFailures.filter(account="x").exists()


async def test_more_rows_than_a_batch_are_pruned(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    await forget_events(service)
    await SecurityEvent.bulk_create([SecurityEvent(name="old", at=clock()) for _ in range(2500)])
    clock.advance(days=401)

    assert (await prune(service))["security_events"] == 2500


async def test_what_was_pruned_is_on_record_though_it_was_broken_off(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    await forget_events(service)
    await SecurityEvent.bulk_create([SecurityEvent(name="old", at=clock()) for _ in range(10_000)])
    clock.advance(days=401)

    pruning = asyncio.create_task(prune(service))
    # Two batches: one that has just been deleted may not be counted yet.
    while await SecurityEvent.all().count() > 8_000:
        pass
    pruning.cancel()
    with suppress(asyncio.CancelledError):
        await pruning
    await service.use_cases.events.write()

    event = await SecurityEvent.get(name="pruned")
    told, gone = event.details["security_events"], 10_000 - await SecurityEvent.filter(name="old").count()
    assert event.by == "test"
    # The batch under way when it was broken off may be deleted, and not counted.
    assert isinstance(told, int)
    assert 0 < told <= gone < 10_000
