"""Nothing is said to be known everywhere before everybody can have read it."""

from typing import Any, cast

import pytest

from service.errors import DatabaseUnavailable, RedisUnavailable
from service.stores.announcement import Announcement
from service.stores.database import Database
from service.stores.revoked import KNOWN_EVERYWHERE_AFTER


class Answering:
    """A database that answers so many times, and then no more."""

    def __init__(self, times: float) -> None:
        self.left = times

    async def row(self, _sql: str) -> dict[str, Any]:
        self.left -= 1
        if self.left < 0:
            raise DatabaseUnavailable
        return {}


class Clock:
    """A clock that every look moves on by a twentieth of a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.05
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def announcement(database: Answering, clock: Clock) -> Announcement:
    return Announcement(cast(Database, database), clock)


async def confirmed() -> None:
    """Be told by a Redis that answers."""


async def lost() -> None:
    raise RedisUnavailable


async def test_what_redis_confirmed_is_known_at_once(clock: Clock) -> None:
    told = announcement(Answering(0), clock)
    await told.tell(confirmed())

    await told.known_everywhere()

    assert told.confirmed
    assert clock.now < KNOWN_EVERYWHERE_AFTER.total_seconds()


async def test_what_redis_did_not_confirm_is_known_when_everybody_has_read_it(clock: Clock) -> None:
    told = announcement(Answering(float("inf")), clock)
    await told.tell(lost())

    await told.known_everywhere()

    assert not told.confirmed
    assert clock.now >= KNOWN_EVERYWHERE_AFTER.total_seconds()


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_where_the_database_is_lost_before_everybody_has_read_it_nothing_is_promised(
    clock: Clock, times: int
) -> None:
    told = announcement(Answering(times), clock)
    await told.tell(lost())

    with pytest.raises(DatabaseUnavailable):
        await told.known_everywhere()
