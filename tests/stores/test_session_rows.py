"""Sessions are read from the database by few queries, and no answer is older than its question."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from models import Session, User
from service.errors import DatabaseUnavailable
from service.security.tokens import new_id
from service.settings import Settings
from service.stores.database import Database
from service.stores.session_rows import SessionRows
from service.wiring import database_url
from tests.conftest import FakeClock

T = TypeVar("T")


class WatchedDatabase(Database):
    """Counts its queries; keeps what they found, or their fault, back until it may answer."""

    def __init__(self, url: str, timeout: timedelta) -> None:
        super().__init__(url, timeout)
        self.queries = self.under_way = self.most_under_way = 0
        self.faults: list[Exception] = []
        self.has_read, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_answer.set()

    async def read(self, work: Callable[[], Awaitable[T]]) -> T:
        self.queries += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            found = await super().read(work)
            self.has_read.set()
            await self.may_answer.wait()
        finally:
            self.under_way -= 1
        if self.faults:
            raise self.faults.pop()
        return found


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[WatchedDatabase]:
    database = WatchedDatabase(database_url(settings), settings.database_timeout)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def sids(database: WatchedDatabase, clock: FakeClock) -> Sequence[str]:
    """Two hundred sessions of one user."""
    now, sids = clock(), [new_id() for _ in range(200)]

    async def work() -> None:
        user = await User.create(name="Causas", user="causas", user_key="causas", password_hash="-")
        times = {"started_at": now, "last_seen_at": now, "expires_at": now + timedelta(hours=1)}
        await Session.bulk_create(
            Session(id=sid, user_id=user.id, version=1, ip="", agent="", **times) for sid in sids
        )

    await database.write(work)
    return sids


@pytest.fixture
def rows(database: WatchedDatabase) -> SessionRows:
    return SessionRows(database)


async def revoke(sid: str, clock: FakeClock) -> None:
    await Session.filter(id=sid).update(revoked_at=clock())


def asked(rows: SessionRows, sids: Iterable[str]) -> list[asyncio.Task[Session | None]]:
    """Ask for sessions in the loop's next turn, each as a request of its own."""
    return [asyncio.create_task(rows.get(sid)) for sid in sids]


async def answers_to(asked: Iterable[asyncio.Task[Session | None]]) -> list[Any]:
    """Return the id of every session that was found, and what those got that were not."""
    async with asyncio.timeout(5):
        found = await asyncio.gather(*asked, return_exceptions=True)
    return [each.id if isinstance(each, Session) else each for each in found]


async def some_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_living_session_comes_with_its_user_and_no_other_comes(
    rows: SessionRows, sids: Sequence[str], clock: FakeClock
) -> None:
    await revoke(sids[1], clock)

    alive, revoked, unknown = await asyncio.gather(*asked(rows, [*sids[:2], new_id()]))

    assert alive is not None
    assert (alive.id, alive.user.name) == (sids[0], "Causas")
    assert (revoked, unknown) == (None, None)


async def test_all_that_ask_in_one_turn_share_a_query(
    rows: SessionRows, sids: Sequence[str], database: WatchedDatabase
) -> None:
    found = await answers_to(asked(rows, sids))

    assert found == sids
    assert database.queries == 1


async def test_no_query_is_for_more_than_a_database_takes(
    rows: SessionRows, sids: Sequence[str], database: WatchedDatabase
) -> None:
    unknown = [new_id() for _ in range(1001)]

    found = await answers_to(asked(rows, [*unknown, *sids]))

    assert found == [None] * 1001 + [*sids]
    assert (database.queries, database.most_under_way) == (3, 1)


async def test_all_that_ask_while_a_query_is_under_way_share_the_next(
    rows: SessionRows, sids: Sequence[str], database: WatchedDatabase
) -> None:
    database.may_answer.clear()
    first = asked(rows, sids[:1])
    await database.has_read.wait()

    later = []
    for begin in range(0, len(sids), 20):
        # The first session again, every time.
        later += asked(rows, [sids[0], *sids[begin : begin + 20]])
        await some_turns()
    database.may_answer.set()

    assert await answers_to(first) == [sids[0]]
    assert {*await answers_to(later)} == {*sids}
    assert (database.queries, database.most_under_way) == (2, 1)


async def test_two_that_ask_for_one_session_in_one_turn_share_its_answer(
    rows: SessionRows, sids: Sequence[str], database: WatchedDatabase
) -> None:
    found = await answers_to(asked(rows, [sids[0], sids[0]]))

    assert found == [sids[0]] * 2
    assert database.queries == 1


async def test_who_asks_after_a_query_was_sent_gets_no_answer_of_before(
    rows: SessionRows, sids: Sequence[str], database: WatchedDatabase, clock: FakeClock
) -> None:
    database.may_answer.clear()
    before = asked(rows, sids[:1])
    await database.has_read.wait()
    await revoke(sids[0], clock)

    afterwards = asked(rows, sids[:1])
    await some_turns()
    database.may_answer.set()

    assert await answers_to([*before, *afterwards]) == [sids[0], None]


async def test_no_answer_is_kept_for_a_later_question(
    rows: SessionRows, sids: Sequence[str], clock: FakeClock
) -> None:
    before = await answers_to(asked(rows, sids[:1]))
    await revoke(sids[0], clock)

    afterwards = await answers_to(asked(rows, sids[:1]))

    assert (before, afterwards) == ([sids[0]], [None])


@pytest.mark.parametrize("ticks", [0, 1, 2, 3])
async def test_a_caller_that_is_cancelled_harms_nobody(
    rows: SessionRows, sids: Sequence[str], ticks: int
) -> None:
    cancelled, same, others = (asked(rows, each) for each in (sids[:2], sids[:1], sids[2:9]))
    for _ in range(ticks):
        await asyncio.sleep(0)

    for task in cancelled:
        task.cancel()

    assert await answers_to([*same, *others]) == [sids[0], *sids[2:9]]
    assert await answers_to(asked(rows, sids[:9])) == [*sids[:9]]
    assert all(task.cancelled() for task in cancelled)


@pytest.mark.parametrize("fault", [DatabaseUnavailable(), LookupError("a bug")], ids=["outage", "bug"])
async def test_a_fault_is_told_to_all_that_share_the_query_and_to_nobody_after_them(
    rows: SessionRows, sids: Sequence[str], database: WatchedDatabase, fault: Exception
) -> None:
    database.faults.append(fault)
    database.may_answer.clear()
    first = asked(rows, [sids[0], *sids[:5]])
    await database.has_read.wait()

    # Of the same sessions, some.
    after = asked(rows, sids[3:9])
    await some_turns()
    database.may_answer.set()

    assert await answers_to(first) == [fault] * 6
    assert await answers_to(after) == [*sids[3:9]]
