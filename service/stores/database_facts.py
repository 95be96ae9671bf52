"""Ask the database what it is: its schema, its time, whether it is spoken to in plain text, who is in it."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from tortoise.expressions import Q

from models import User, fold_user
from service.clock import Clock
from service.security.passwords import beginnings
from service.settings import COST_MAX
from service.stores.database import Database
from service.stores.migrations import missing_and_unknown


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    pending: tuple[str, ...]  # migrations of this release that were not applied
    unknown: tuple[str, ...]  # migrations that were applied, and this release does not have
    encrypted: bool
    ahead: timedelta  # of this machine's clock
    demo_hash: str | None  # the stored hash of an active user by the demo user's name
    dearest: int | None  # the highest cost of a stored hash, if it is above the current one


async def database_facts(database: Database, demo_user: str, bcrypt_cost: int, clock: Clock) -> DatabaseFacts:
    """Raise DatabaseUnavailable if it does not answer."""
    encrypted, ahead = await _connection(database, clock)
    pending, unknown = await database.read(missing_and_unknown)
    return DatabaseFacts(
        pending=pending,
        unknown=unknown,
        encrypted=encrypted,
        ahead=ahead,
        # Before the first migration there is no table to look into.
        demo_hash=None if pending else await _hash_of(database, demo_user),
        dearest=None if pending else await _dearest(database, bcrypt_cost),
    )


async def _connection(database: Database, clock: Clock) -> tuple[bool, timedelta]:
    if database.on_sqlite:
        await database.row("SELECT 1")
        return False, timedelta()
    asked = clock()
    row = await database.row(
        "SELECT clock_timestamp() AS told, (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS ssl"
    )
    return bool(row["ssl"]), row["told"] - asked - (clock() - asked) / 2


async def _hash_of(database: Database, user: str) -> str | None:
    row = await database.read(lambda: User.get_or_none(user_key=fold_user(user), active=True))
    return None if row is None else row.password_hash


async def _dearest(database: Database, bcrypt_cost: int) -> int | None:
    for cost in range(COST_MAX, bcrypt_cost, -1):
        of_this_cost = Q(*(Q(password_hash__startswith=each) for each in beginnings(cost)), join_type="OR")
        if await database.read(partial(User.exists, of_this_cost)):
            return cost
    return None
