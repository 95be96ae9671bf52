"""Security events become rows: once each, whatever the database answers, and without a secret."""

import asyncio
import logging
import string
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import asyncpg
import bcrypt
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from models import SecurityEvent
from service.errors import DatabaseUnavailable
from service.settings import Settings
from service.stores import security_events
from service.stores.database import Database
from service.stores.database_url import postgres_credentials
from service.stores.security_events import SecurityEvents
from service.telemetry.events import NAMES, Event
from service.use_cases.choose_sessions import Selection
from service.use_cases.import_users import Candidate
from service.use_cases.read_events import VISIBLE_WITHIN, Filter
from tests.backoffice import PASSWORD, Backoffice, claims_of
from tests.conftest import FakeClock, Running, Start
from tests.stores_in_use import Stores

T = TypeVar("T")
NEW = "a different horse altogether"


class Unsure:
    """A database that does what it is asked, and says that it did not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.unsure = True

    async def write(self, work: Callable[[], Awaitable[T]], *, within: timedelta | None = None) -> T:
        result = await self._database.write(work, within=within)
        if self.unsure:
            raise DatabaseUnavailable
        return result


async def rows(service: Running) -> list[SecurityEvent]:
    await service.use_cases.events.write()
    return await SecurityEvent.all().order_by("id")


def refused(clock: FakeClock, account: str = "a") -> Event:
    return Event("login_refused", clock(), account=account, network="1.2.3.4")


async def test_everything_that_happens_leaves_a_row(service: Running, client: Backoffice) -> None:
    do, operator = service.use_cases, "ada@host"
    token, other = await client.token(), await client.token()
    await client.refresh(token)
    await client.end_session(token, claims_of(other)["sid"])
    await client.log_out(token)
    changed = (await client.change_password(await client.token(), PASSWORD, NEW)).json()["token"]
    for _ in range(6):
        await client.log_in("nobody", "wrong")
    await do.revoke(Selection(sids=frozenset([claims_of(changed)["sid"]])), by=operator)
    await service.revoke("causas")
    await do.set_password("causas", PASSWORD, by=operator)
    await do.disable_user("causas", by=operator)
    await do.enable_user("causas", by=operator)
    await do.unblock_login("nobody", by=operator)
    await do.rename_user("causas", "causa", None, by=operator)
    await do.delete_user("causa", by=operator)
    line = Candidate(1, "ada", "Ada", bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode(), active=True)
    await do.import_users([line], by=operator, dry_run=False, skip_rejected=False)
    await do.prune(by=operator)
    await do.note_signing_key()

    found = await rows(service)

    assert {row.name for row in found} == {*NAMES} - {"account_blocked"}
    totals = Counter[str]()
    for row in found:
        totals[row.name] += row.count
    assert (totals["login_ok"], totals["login_refused"], totals["login_blocked"]) == (3, 5, 1)
    assert {row.by for row in found} == {None, "test", operator}
    assert all(row.sid is None or len(row.sid) == 8 for row in found)


async def test_each_key_that_signs_is_on_record_once_however_many_instances_start(service: Running) -> None:
    note = service.use_cases.note_signing_key
    another = replace(note, kid="another")

    await asyncio.gather(*(each() for each in (note, another) for _ in range(5)))
    await note()

    found = [event.details for event in await SecurityEvent.filter(name="signing_key_changed")]
    assert len(found) == 2
    assert {"kid": note.kid} in found
    assert {"kid": "another"} in found


async def test_no_row_without_its_transaction_and_no_transaction_without_its_row(
    service: Running, clock: FakeClock
) -> None:
    events = service.use_cases.events
    before = await SecurityEvent.all().count()

    async def fails() -> None:
        await SecurityEvent.create(name="half", at=clock())
        raise DatabaseUnavailable

    def breaks(_: object) -> Event:
        raise DatabaseUnavailable

    async def works() -> None:
        await SecurityEvent.create(name="half", at=clock())

    for work, event in ((fails, lambda _: Event("login_ok", clock())), (works, breaks)):
        with pytest.raises(DatabaseUnavailable):
            await events.commit(work, event)

    assert await SecurityEvent.all().count() == before


async def test_an_event_is_written_once_though_the_answer_was_lost(
    service: Running, clock: FakeClock
) -> None:
    database = Unsure(service.use_cases.prune.database)
    events = SecurityEvents(database, clock)  # type: ignore[arg-type]
    await SecurityEvent.all().delete()
    events.note(Event("login_ok", clock(), user_id=1))
    for _ in range(3):
        events.note_folded(refused(clock))

    await events.write()
    events.note_folded(refused(clock))
    await events.write()
    database.unsure = False
    await events.write()

    assert [(row.name, row.count) for row in await SecurityEvent.all().order_by("name")] == [
        ("login_ok", 1),
        ("login_refused", 4),
    ]
    assert events.waiting == 0


async def test_two_processes_that_write_at_once_lose_nothing(service: Running, clock: FakeClock) -> None:
    database = service.use_cases.prune.database
    processes = [SecurityEvents(database, clock) for _ in range(2)]
    await SecurityEvent.all().delete()

    async def live(events: SecurityEvents) -> None:
        for number in range(2000):
            events.note_folded(refused(clock, str(number % 7)))
            if number % 100 == 0:
                await events.write()
        await events.write()

    await asyncio.gather(*map(live, processes))

    found = await SecurityEvent.all()
    assert sum(row.count for row in found) == 4000
    assert len(found) == 14


async def test_the_database_away_costs_no_answer_and_no_more_memory_than_promised(
    start: Start, clock: FakeClock
) -> None:
    running = await start(database_url="sqlite:///nowhere/at/all.sqlite3")
    events = running.use_cases.events

    for _ in range(security_events.NOTED_MAX + 5):
        events.note(Event("login_ok", clock()))
        events.note_folded(refused(clock))
    await events.write()

    assert events.waiting == 2 * security_events.NOTED_MAX + 5
    assert len(events._unwritten()) == security_events.NOTED_MAX + 1


# The next look may be late as well: the database was away.
@pytest.mark.parametrize("until_the_next_look", [VISIBLE_WITHIN / 2, 6 * VISIBLE_WITHIN])
async def test_a_row_that_commits_late_is_followed_all_the_same_and_once(
    service: Running,
    stores: Stores,
    settings: Settings,
    clock: FakeClock,
    until_the_next_look: timedelta,
) -> None:
    if not stores.on_postgres:
        pytest.skip("SQLite writes one after the other")
    read = service.use_cases.read_events
    _, follower = await read.tail(Filter(), 5)
    late = await asyncpg.connect(**postgres_credentials(str(settings.database_url), timedelta(seconds=5)))
    insert = "INSERT INTO security_events (name, at, details, count) VALUES ('late', now(), '{}', 1)"
    transaction = late.transaction()
    await transaction.start()
    await late.execute(insert)
    await SecurityEvent.create(name="early", at=clock())
    seen = [row.name for row in await follower.news()]

    clock.advance(seconds=until_the_next_look.total_seconds())
    await transaction.commit()
    await late.close()
    seen += [row.name for row in await follower.news()]
    clock.advance(seconds=60)
    seen += [row.name for row in await follower.news()]

    assert seen == ["early", "late"]


async def test_who_follows_sees_each_row_once_and_none_of_before(service: Running, clock: FakeClock) -> None:
    await SecurityEvent.bulk_create([SecurityEvent(name=f"before {n}", at=clock()) for n in range(1500)])
    latest, follower = await service.use_cases.read_events.tail(Filter(), 3)
    seen = []

    for number in range(30):
        await SecurityEvent.create(name=f"{number}", at=clock())
        seen += [row.name for row in await follower.news()]
        clock.advance(seconds=3)

    assert [row.name for row in latest] == ["before 1497", "before 1498", "before 1499"]
    assert seen == [str(number) for number in range(30)]


async def test_who_follows_something_rare_does_not_look_ever_further_back(
    service: Running, clock: FakeClock
) -> None:
    _, follower = await service.use_cases.read_events.tail(Filter(name="rare"), 3)
    rows = [await SecurityEvent.create(name="frequent", at=clock()) for _ in range(2)]
    await follower.news()
    clock.advance(seconds=VISIBLE_WITHIN.total_seconds() + 1)
    await follower.news()

    # No transaction could do this any more: it shows where the next look begins.
    await SecurityEvent.filter(id=rows[0].id).delete()
    await SecurityEvent.create(id=rows[0].id, name="rare", at=clock())
    await SecurityEvent.create(id=rows[1].id + 1, name="rare", at=clock())

    assert [row.id for row in await follower.news()] == [rows[1].id + 1]


async def test_an_export_gives_every_row_of_more_than_a_page(service: Running, clock: FakeClock) -> None:
    await SecurityEvent.bulk_create([SecurityEvent(name="many", at=clock(), count=2) for _ in range(1300)])

    found = [row.id async for row in service.use_cases.read_events.export(Filter(name="many"))]

    assert len(found) == 1300
    assert found == sorted(found)


async def test_filters_choose(service: Running, client: Backoffice, clock: FakeClock) -> None:
    await client.log_in("nobody", "wrong")
    await client.log_in("causas", "wrong")
    await rows(service)
    clock.advance(hours=1)
    await client.token()
    await rows(service)

    async def names(wanted: Filter) -> list[str]:
        return [row.name async for row in service.use_cases.read_events.export(wanted)]

    assert await names(Filter(user="NOBODY")) == ["login_refused"]
    assert await names(Filter(user="Causas")) == ["user_created", "login_refused", "login_ok"]
    assert await names(Filter(name="login_ok")) == ["login_ok"]
    assert await names(Filter(since=clock())) == ["login_ok"]
    assert len(await names(Filter(until=clock()))) == 3
    assert await names(Filter(network="127.0.0.1", name="login_ok")) == ["login_ok"]
    assert await names(Filter(network="1.2.3.4")) == []


@pytest.fixture
def unlimited(loop: asyncio.AbstractEventLoop, start: Start) -> Running:
    """A service to be tried on as often as one likes."""
    no_limits = dict.fromkeys(("limit_login", "limit_login_account", "limit_login_network"))
    running: Running = loop.run_until_complete(start(**no_limits))
    loop.run_until_complete(running.use_cases.create_user("causas", "Causas", PASSWORD, by="test"))
    return running


SECRETS = st.text(string.ascii_letters + string.digits + "éß☃", min_size=15, max_size=40)


@given(user=SECRETS, password=SECRETS, agent=st.text(string.ascii_letters, min_size=15, max_size=40))
@hypothesis_settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_nothing_that_was_typed_or_handed_out_is_in_a_row_or_a_line(
    loop: asyncio.AbstractEventLoop,
    unlimited: Running,
    caplog: pytest.LogCaptureFixture,
    user: str,
    password: str,
    agent: str,
) -> None:
    caplog.set_level(logging.INFO, "service.security")

    client = unlimited.client

    async def live() -> tuple[str, set[str]]:
        await client.log_in(user, password)
        await client.log_in("causas", password)
        answer = await client.log_in("causas", headers={"User-Agent": agent})
        token = answer.json()["token"]
        again = (await client.refresh(token)).json()["token"]
        await client.change_password(token, password, user)
        await client.log_out(again)
        claims = claims_of(again)
        secrets = {user, password, agent, PASSWORD, token, again, claims["jti"], claims["sid"]}
        return "\n".join(str(vars(row)) for row in await rows(unlimited)), secrets

    told, secrets = loop.run_until_complete(live())

    told += "\n".join(str(vars(record)) for record in caplog.records)
    assert "login_refused" in told
    assert [secret for secret in secrets if secret in told] == []
