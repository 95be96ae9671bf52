"""With a million sessions in PostgreSQL, no query of the service looks at them one by one."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.stores.database_url import postgres_credentials
from service.stores.revoked import _CHANGES_ON_POSTGRES, _NOTHING_SEEN_ON_POSTGRES
from tests.faults.servers import PostgresServer, redis_server
from tests.process.running import clean_env, run
from tests.timing import assert_within, time_limit

pytestmark = pytest.mark.slow

SESSIONS = 1_000_000
USERS = 10_000
REVOKED = 100_000
MEGABYTES = 150
# Not what `wait4` says: that holds the peak of the test's own process, which the command was forked from.
TELLING_ITS_PEAK = """
import atexit, re, sys
from pathlib import Path
from scripts.command_line import run
peak = lambda: re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1]
atexit.register(lambda: print(peak(), file=sys.stderr))
run()
"""

# As the service sends them; the ids are of one session, one user, and a batch.
QUERIES = {
    "a session": ("SELECT * FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = ANY($1)", ["ids"]),
    "a token": ("SELECT * FROM issued_tokens WHERE jti = $1", ["jti"]),
    "sessions of a user": (
        """
        SELECT * FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
        ORDER BY started_at DESC, id DESC LIMIT 50
        """,
        ["user", "now"],
    ),
    "last use": ("UPDATE sessions SET last_seen_at = $2 WHERE id = ANY($1)", ["ids", "now"]),
    "a batch to prune": ("SELECT * FROM sessions WHERE expires_at < $1 LIMIT 1000", ["long ago"]),
    "tokens to prune": ("SELECT * FROM issued_tokens WHERE expires_at < $1 LIMIT 1000", ["long ago"]),
    "what was revoked lately": (_CHANGES_ON_POSTGRES, ["oldest", "snapshot", "now", "now"]),
}


@pytest.fixture(scope="module")
def loop_of_the_module() -> Any:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def ask(postgres_of_the_module: PostgresServer, loop_of_the_module: asyncio.Runner) -> Any:
    credentials = postgres_credentials(postgres_of_the_module.url, timedelta(minutes=2))
    connection = loop_of_the_module.run(asyncpg.connect(**credentials))
    loop_of_the_module.run(fill(connection))
    yield lambda work: loop_of_the_module.run(work(connection))
    loop_of_the_module.run(connection.close())


async def fill(connection: "asyncpg.Connection[Any]") -> None:
    await connection.execute(
        f"""
        INSERT INTO users (id, name, "user", user_key, password_hash, active, session_version,
                           session_version_changed_at, created_at, updated_at)
        SELECT n, 'x', 'many' || n, 'many' || n, 'x', true, 1, now(), now(), now()
        FROM generate_series(1000, {999 + USERS}) n;
        INSERT INTO sessions (id, user_id, version, ip, agent, started_at, expires_at, last_seen_at)
        SELECT lpad(to_hex(n), 32, '0'), 1000 + n % {USERS}, 1, '192.0.2.1', 'x', now(),
               now() + interval '8 hours', now()
        FROM generate_series(1, {SESSIONS}) n;
        INSERT INTO issued_tokens (jti, session_id, issued_at, expires_at)
        SELECT id, id, started_at, expires_at FROM sessions;
        UPDATE sessions SET revoked_at = now(), revoked_change = pg_current_xact_id()::text::bigint
        WHERE id IN (SELECT lpad(to_hex(n), 32, '0') FROM generate_series(1, {REVOKED}) n);
        """  # noqa: S608 - numbers of ours
    )
    await connection.execute("ANALYZE")


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_reads_by_an_index_and_is_quick(ask: Any, query: str) -> None:
    plan = ask(lambda connection: explained(connection, *QUERIES[query]))

    # A look-up of a hundred users among ten thousand may read them all: that is quick as well.
    assert not [node for node in nodes_of(plan["Plan"]) if node["Node Type"] == "Seq Scan" and big(node)]
    assert_within(0.05, plan["Execution Time"] / 1000)


def test_a_hundred_thousand_revoked_sessions_are_loaded_in_a_second(ask: Any) -> None:
    now = datetime.now(UTC)

    def load(connection: "asyncpg.Connection[Any]") -> Awaitable[Any]:
        return connection.fetch(_CHANGES_ON_POSTGRES, 3, _NOTHING_SEEN_ON_POSTGRES, now, now)

    with time_limit(1):
        rows = ask(load)

    assert len(rows) == REVOKED


# The last one: nobody is left.
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "command",
    [("sessions", "list", "--network", "192.0.2.1"), ("tokens", "revoke", "--all", "--yes")],
    ids=" ".join,
)
def test_a_command_takes_no_more_memory_for_a_million(
    ask: Any, postgres_of_the_module: PostgresServer, tmp_path: Path, command: tuple[str, ...]
) -> None:
    with redis_server() as redis:
        stores = {
            "DATABASE_URL": postgres_of_the_module.url,
            "REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
        }
        env = clean_env(tmp_path, JWT_SECRET="s" * 32, **stores)
        done = run([sys.executable, "-c", TELLING_ITS_PEAK, *command, "--json"], env, seconds=200)

    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts.get("total", facts.get("sessions_revoked")) == SESSIONS - REVOKED
    assert int(done.stderr) / 1024 < MEGABYTES


def nodes_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes_of(child)


def big(node: dict[str, Any]) -> bool:
    return node["Relation Name"] in {"sessions", "issued_tokens"} or "version_change" in node.get(
        "Filter", ""
    )


async def explained(connection: "asyncpg.Connection[Any]", sql: str, names: list[str]) -> Any:
    snapshot: str = await connection.fetchval("SELECT pg_current_snapshot()::text")
    now = datetime.now(UTC)
    values = {
        "ids": [f"{number:032x}" for number in range(500_000, 500_100)],
        "jti": f"{500_000:032x}",
        "user": 1500,
        "now": now,
        "long ago": now - timedelta(days=2),
        "oldest": int(snapshot.partition(":")[0]),
        "snapshot": snapshot,
    }
    async with connection.transaction():
        statement = f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}"
        (plan,) = json.loads(await connection.fetchval(statement, *(values[name] for name in names)))
    return plan
