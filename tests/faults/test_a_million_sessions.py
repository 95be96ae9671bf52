"""With a million sessions in PostgreSQL, no query that somebody waits for looks at them one by one."""

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from service import wiring
from service.settings import Settings
from service.stores.database_url import postgres_credentials
from service.stores.revoked import _CHANGES_ON_POSTGRES, _NOTHING_SEEN_ON_POSTGRES
from service.uncancelled import finish_all
from tests.faults.many_sessions import FIRST_USER, NETWORK, execute, open_many, some
from tests.faults.plans import Plan, overheard, telling_its_plans
from tests.faults.servers import PostgresServer, RedisServer
from tests.faults.site import NO_LIMITS, SECRET
from tests.faults.uses import USES, Use
from tests.process.running import clean_env, run
from tests.timing import assert_within, time_limit

# The first one fills the tables.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SESSIONS = 1_000_000
USERS = 10_000
REVOKED = 100_000
ENDED = 3000
MEGABYTES = 150
# The slowest writes a thousand rows, in a tenth of that where nobody else is at work.
QUERY_SECONDS = 0.3
PATIENT = {"DATABASE_TIMEOUT": "20s", "REDIS_TIMEOUT": "5s"}
# Not what `wait4` says: that holds the peak of the test's own process, which the command was forked from.
TELLING_ITS_PEAK = """
import atexit, re, sys
from pathlib import Path
from scripts.command_line import run
peak = lambda: re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1]
atexit.register(lambda: print(peak(), file=sys.stderr))
run()
"""


@pytest.fixture(scope="module")
def million(postgres_of_the_module: PostgresServer) -> PostgresServer:
    """The server with all of them."""
    asyncio.run(fill(postgres_of_the_module.url))
    return postgres_of_the_module


# The first one: after it, more are revoked.
def test_a_hundred_thousand_revoked_sessions_are_loaded_in_a_second(million: PostgresServer) -> None:
    assert asyncio.run(revoked_loaded_in_time(million.url, 1)) == REVOKED


@pytest.mark.parametrize("use", USES)
def test_every_query_looks_at_few_rows_and_is_quick(
    million: PostgresServer, redis: RedisServer, tmp_path: Path, use: str
) -> None:
    asyncio.run(end_some(million.url))
    tokens = some(million.url, "revoked_at IS NULL")
    stores = {"DATABASE_URL": telling_its_plans(million), "REDIS_URL": redis.url}
    settings = Settings.from_env(clean_env(tmp_path, JWT_SECRET=SECRET, **stores, **PATIENT, **NO_LIMITS))

    plans = asyncio.run(plans_of(USES[use], tokens, settings, million))

    assert any(USES[use].table in plan.tables for plan in plans)
    assert not [plan for plan in plans if plan.rows_looked_at > USES[use].rows]
    assert_within(QUERY_SECONDS, max(plan.seconds for plan in plans))


# The last one: nobody is left.
@pytest.mark.parametrize(
    "command",
    [("sessions", "list", "--network", NETWORK), ("tokens", "revoke", "--all", "--yes")],
    ids=" ".join,
)
def test_a_command_takes_no_more_memory_for_a_million(
    million: PostgresServer, redis: RedisServer, tmp_path: Path, command: tuple[str, ...]
) -> None:
    alive = asyncio.run(number_alive(million.url))
    env = clean_env(tmp_path, JWT_SECRET=SECRET, DATABASE_URL=million.url, REDIS_URL=redis.url)

    done = run([sys.executable, "-c", TELLING_ITS_PEAK, *command, "--json"], env, seconds=200)

    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts.get("total", facts.get("sessions_revoked")) == alive > SESSIONS / 2
    assert int(done.stderr) / 1024 < MEGABYTES


async def plans_of(use: Use, tokens: Sequence[str], settings: Settings, server: PostgresServer) -> list[Plan]:
    async with wiring.open_use_cases(settings) as do:
        await use.before(do, tokens)
        with overheard(server) as plans:
            await use.work(do, tokens)
            await finish_all()
    return plans


async def revoked_loaded_in_time(url: str, seconds: float) -> int:
    connection, now = await connected(url), datetime.now(UTC)
    with time_limit(seconds):
        rows = await connection.fetch(_CHANGES_ON_POSTGRES, 3, _NOTHING_SEEN_ON_POSTGRES, now, now)
    await connection.close()
    return len(rows)


async def number_alive(url: str) -> int:
    connection = await connected(url)
    alive = "s.revoked_at IS NULL AND s.expires_at > now() AND s.version >= u.session_version"
    number = await connection.fetchval(
        f"SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id WHERE {alive}"  # noqa: S608
    )
    await connection.close()
    return int(number)


async def connected(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(**postgres_credentials(url, timedelta(minutes=2)))


async def fill(url: str) -> None:
    # On a server that is not needed after a crash, it is done sooner so.
    await execute(url, "ALTER SYSTEM SET full_page_writes = off")
    await execute(url, "SELECT pg_reload_conf()")
    await open_many(url, SESSIONS, USERS)
    await execute(
        url,
        f"""
        SET session_replication_role = replica;  -- no look at what each row refers to
        INSERT INTO issued_tokens (jti, session_id, issued_at, expires_at)
        SELECT id, id, started_at, expires_at FROM sessions;
        INSERT INTO known_networks (user_id, network, last_login_at, consecutive_failures)
        SELECT id, '198.51.100.1', now(), 0 FROM users;
        INSERT INTO login_failures (account, consecutive, blocks, updated_at)
        SELECT md5(id::text), 1, 0, now() FROM users;
        UPDATE sessions SET revoked_at = now(), revoked_change = pg_current_xact_id()::text::bigint
        WHERE id IN (SELECT md5(n::text) FROM generate_series(1, {REVOKED}) n);
        """,  # noqa: S608 - numbers of ours
    )
    await end_some(url)
    await execute(url, "ANALYZE")


async def end_some(url: str) -> None:
    """Have sessions that have ended, and their tokens."""
    await execute(
        url,
        f"""
        WITH ended AS (
            INSERT INTO sessions (id, user_id, version, ip, agent, started_at, expires_at, last_seen_at)
            SELECT md5('ended ' || n), {FIRST_USER} + n % {USERS}, 1, '192.0.2.1', 'x',
                   now() - interval '3 days', now() - interval '2 days', now() - interval '2 days'
            FROM generate_series(1, {ENDED}) n
            ON CONFLICT DO NOTHING RETURNING id, started_at, expires_at
        )
        INSERT INTO issued_tokens (jti, session_id, issued_at, expires_at)
        SELECT id, id, started_at, expires_at FROM ended
        """,  # noqa: S608
    )
