"""Sessions by the hundred thousand, written past the service, and tokens for some of them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from service.security.claims import Claims
from service.security.key_ring import KeyRing
from service.security.tokens import TokenCodec, new_id
from service.stores.database_url import postgres_credentials
from tests.faults.site import SECRET

NETWORK = "192.0.2.0/24"
FIRST_USER = 1000
_PATIENCE = timedelta(minutes=2)


async def open_many(database_url: str, sessions: int, users: int) -> None:
    """Open them from addresses in NETWORK."""
    await execute(
        database_url,
        f"""
        INSERT INTO users (id, name, "user", user_key, password_hash, active, session_version,
                           session_version_changed_at, created_at, updated_at)
        SELECT n, 'x', 'many' || n, 'many' || n, 'x', true, 1, now(), now(), now()
        FROM generate_series({FIRST_USER}, {FIRST_USER + users - 1}) n
        """,  # noqa: S608 - numbers of ours
    )
    await execute(
        database_url,
        f"""
        INSERT INTO sessions (id, user_id, version, ip, agent, started_at, expires_at, last_seen_at)
        SELECT md5(n::text), {FIRST_USER} + n % {users}, 1, '192.0.2.' || n % 256, 'Robot/1.0', now(),
               now() + interval '8 hours', now()
        FROM generate_series(1, {sessions}) n
        """,  # noqa: S608
    )
    await execute(database_url, "ANALYZE")


async def execute(database_url: str, statement: str) -> None:
    connection = await asyncpg.connect(**postgres_credentials(database_url, _PATIENCE))
    await connection.execute(statement)
    await connection.close()


async def ids(database_url: str, condition: str = "TRUE", limit: int = 10**9) -> Sequence[tuple[str, int]]:
    """Read which of them the database holds, with their users."""
    connection = await asyncpg.connect(**postgres_credentials(database_url, _PATIENCE))
    rows = await connection.fetch(
        f"SELECT id, user_id FROM sessions WHERE agent = 'Robot/1.0' AND {condition} LIMIT {limit}"  # noqa: S608
    )
    await connection.close()
    return [(row["id"], row["user_id"]) for row in rows]


def some(database_url: str, condition: str = "TRUE", number: int = 100) -> Sequence[str]:
    """Sign tokens of some of them."""
    codec, now = TokenCodec(KeyRing.from_secret(SECRET), "backoffice", timedelta(days=1)), datetime.now(UTC)
    return [
        codec.issue(Claims(user_id, sid, new_id(), 1, now, now + timedelta(hours=7)))
        for sid, user_id in asyncio.run(ids(database_url, condition, number))
    ]


def number_of(database_url: str, condition: str) -> int:
    return len(asyncio.run(ids(database_url, condition)))
