"""Ask the stores what they hold, and what it took them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
from redis import Redis

from service import wiring
from service.settings import Settings
from service.stores.database_url import postgres_credentials

_TIMEOUT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class RedisWeight:
    memory: int  # bytes
    commands: int  # those that scripts call included
    cpu_seconds: float

    def __sub__(self, earlier: "RedisWeight") -> "RedisWeight":
        return RedisWeight(
            self.memory - earlier.memory,
            self.commands - earlier.commands,
            self.cpu_seconds - earlier.cpu_seconds,
        )


@dataclass(frozen=True, slots=True)
class PostgresWeight:
    sessions: int  # bytes of the rows and indexes of sessions and tokens
    events: int  # likewise, of security events
    commits: int

    def __sub__(self, earlier: "PostgresWeight") -> "PostgresWeight":
        return PostgresWeight(
            self.sessions - earlier.sessions, self.events - earlier.events, self.commits - earlier.commits
        )


def weigh_redis(settings: Settings) -> RedisWeight:
    with Redis.from_url(wiring.redis_url(settings), decode_responses=True) as redis:
        memory, cpu, commands = (redis.info(section) for section in ("memory", "cpu", "commandstats"))
    return RedisWeight(
        memory["used_memory"],
        sum(command["calls"] for command in commands.values()),
        cpu["used_cpu_user"] + cpu["used_cpu_sys"],
    )


async def weigh_postgres(url: str) -> PostgresWeight:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(**postgres_credentials(url, _TIMEOUT))
    try:
        row = await connection.fetchrow(
            """
            SELECT pg_total_relation_size('sessions') + pg_total_relation_size('issued_tokens') AS sessions,
                   pg_total_relation_size('security_events') AS events,
                   (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS commits
            """
        )
    finally:
        await connection.close()
    assert row is not None  # noqa: S101 - for the type checker
    return PostgresWeight(**row)
