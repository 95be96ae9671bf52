"""The list of what is revoked holds exactly what the database holds, in whatever order it was committed."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import asyncpg
import pytest

from models import Session, User
from service.errors import DatabaseUnavailable
from service.security.claims import Claims
from service.stores import keys
from service.stores.database import Database
from service.stores.database_url import postgres_credentials
from service.stores.pipeline import Commands
from service.stores.revoked import RevokedList
from service.stores.revoked_keeper import RevokedKeeper
from service.stores.sessions import TOMBSTONE
from service.telemetry.events import Event
from tests.backoffice import Backoffice
from tests.conftest import FakeClock, Running
from tests.stores_in_use import Stores
from tests.timing import until

MAX_TTL = timedelta(hours=24)

NewList = Callable[[], RevokedList]


@pytest.fixture
def new_list(service: Running, clock: FakeClock) -> NewList:
    """Make the list of another process."""
    return lambda: RevokedList(database_of(service), MAX_TTL, clock)


def database_of(service: Running) -> Database:
    return service.use_cases.list_sessions.database


async def claims_of_a_login(service: Running, client: Backoffice) -> Claims:
    return service.use_cases.authenticate.codec.read_ignoring_time(await client.token())


async def end(service: Running, claims: Claims) -> None:
    chosen = Session.filter(id=claims.sid)
    now = service.use_cases.log_in.clock()
    event = Event("logged_out", now)
    await service.use_cases.log_out.revocations.end(chosen, by="test", why="test", now=now, event=event)


async def test_a_list_knows_what_was_revoked_before_it_and_what_is_revoked_after(
    service: Running, client: Backoffice, new_list: NewList
) -> None:
    before, after, alive = [await claims_of_a_login(service, client) for _ in range(3)]
    revoked = new_list()
    await end(service, before)
    await revoked.refresh()

    await end(service, after)
    news = await revoked.refresh()

    assert [revoked.denies(claims) for claims in (before, after, alive)] == [True, True, False]
    assert len(news) == 1
    assert await revoked.refresh() == []


async def test_a_raised_version_denies_what_is_older(
    service: Running, client: Backoffice, new_list: NewList
) -> None:
    old = await claims_of_a_login(service, client)
    revoked = new_list()
    await revoked.refresh()

    await service.revoke("causas")
    news = await revoked.refresh()

    assert revoked.denies(old)
    assert not revoked.denies(await claims_of_a_login(service, client))
    assert len(news) == 1, "one entry for all sessions of the user"


async def test_what_has_ended_is_forgotten(
    service: Running, client: Backoffice, new_list: NewList, clock: FakeClock
) -> None:
    claims = await claims_of_a_login(service, client)
    await end(service, claims)
    clock.advance(hours=8, seconds=66)
    revoked = new_list()

    await revoked.refresh()

    assert len(revoked) == 0


async def test_a_list_that_could_not_be_read_is_not_fresh_and_is_read_anew(
    service: Running, client: Backoffice, new_list: NewList, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoked = new_list()

    async def fail(*_: object) -> None:
        raise DatabaseUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(Database, "rows", fail)
        with pytest.raises(DatabaseUnavailable):
            await revoked.refresh()
    assert not revoked.loaded
    claims = await claims_of_a_login(service, client)
    await end(service, claims)
    await revoked.refresh()

    assert revoked.fresh
    assert revoked.denies(claims)


async def test_a_transaction_that_commits_after_later_ones_is_not_missed(
    service: Running, client: Backoffice, new_list: NewList, stores: Stores
) -> None:
    if not stores.on_postgres:
        pytest.skip("SQLite has one writer at a time")
    late, early = [await claims_of_a_login(service, client) for _ in range(2)]
    revoked = new_list()
    await revoked.refresh()
    other = await asyncpg.connect(**postgres_credentials(stores.database_url, timedelta(seconds=5)))
    transaction = other.transaction()
    await transaction.start()
    await other.execute(
        "UPDATE sessions SET revoked_at = now(), revoked_change = pg_current_xact_id()::text::bigint"
        " WHERE id = $1",
        late.sid,
    )
    await end(service, early)
    await revoked.refresh()
    seen_meanwhile = [revoked.denies(claims) for claims in (late, early)]

    await transaction.commit()
    await other.close()
    await revoked.refresh()

    assert seen_meanwhile == [False, True]
    assert revoked.denies(late)


async def test_the_numbers_of_sqlite_rise_though_the_highest_is_pruned(
    service: Running, client: Backoffice, new_list: NewList, stores: Stores
) -> None:
    if stores.on_postgres:
        pytest.skip("PostgreSQL numbers its transactions itself")
    pruned, later = [await claims_of_a_login(service, client) for _ in range(2)]
    await end(service, pruned)
    revoked = new_list()
    await revoked.refresh()
    await Session.filter(id=pruned.sid).update(revoked_change=None)

    await end(service, later)
    await revoked.refresh()

    assert revoked.denies(later)


async def test_a_redis_that_remembers_wrongly_is_overruled_and_corrected(
    service: Running, client: Backoffice
) -> None:
    token = await client.token()
    claims = service.use_cases.authenticate.codec.read_ignoring_time(token)
    redis = service.use_cases.authenticate.sessions.redis
    names = [f"bo:{{u:{claims.user_id}}}:s:{claims.sid}", f"bo:{{u:{claims.user_id}}}:v"]
    before = [await redis.execute("GET", name) for name in names]
    await client.log_out(token)
    await service.use_cases.revoked_keeper.step()
    for name, value in zip(names, before, strict=True):
        await redis.execute("SET", name, value, "EX", 600)

    answer = await client.who_am_i(token)

    assert answer.status_code == 401
    await corrected(redis, names[0])


async def test_a_redis_that_missed_many_is_told_some_at_every_step(
    service: Running, new_list: NewList, clock: FakeClock
) -> None:
    sids = [f"{number:032x}" for number in range(1200)]
    now, user = clock(), await service.use_cases.find_user("causas")
    times = {"started_at": now, "last_seen_at": now, "expires_at": now + timedelta(hours=1)}
    rows = [Session(id=sid, user_id=user.id, version=1, ip="", agent="", **times) for sid in sids]
    await Session.bulk_create(rows)
    sessions, seen = service.use_cases.authenticate.sessions, SimpleNamespace(lost=True)
    keeper = RevokedKeeper(new_list(), sessions, cast(Commands, seen), clock)
    await service.use_cases.log_out.revocations.end_rows(Session.all(), by="test", why="test", now=now)
    await keeper.step()
    seen.lost = False

    told = []
    for _ in range(3):
        await keeper.step()
        copies = [await sessions.redis.execute("GET", keys.session(user.id, sid)) for sid in sids]
        told.append(copies.count(TOMBSTONE))

    assert told == [500, 1000, 1200]


async def corrected(redis: Commands, name: str) -> None:
    async def is_corrected() -> bool:
        return bool(await redis.execute("GET", name) == TOMBSTONE)

    await until(is_corrected)


async def test_a_disabled_user_is_in_the_list_by_her_version(
    service: Running, client: Backoffice, new_list: NewList
) -> None:
    claims = await claims_of_a_login(service, client)
    await service.use_cases.disable_user("causas", by="test")
    revoked = new_list()

    await revoked.refresh()

    assert revoked.denies(claims)
    assert (await User.get(id=claims.user_id)).version_change is not None
