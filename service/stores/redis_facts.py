"""Ask Redis what it is: its version, what it evicts, what time it has."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.exceptions import ResponseError

from service.clock import Clock
from service.errors import RedisUnavailable
from service.stores.pipeline import Commands


@dataclass(frozen=True, slots=True)
class RedisFacts:
    version: str  # empty: the service that runs it does not say
    eviction: str | None  # None: likewise
    ahead: timedelta  # of this machine's clock


async def redis_facts(redis: Commands, clock: Clock) -> RedisFacts:
    """Ask any node; raise RedisUnavailable if it does not answer."""
    server, memory = await _info(redis, "server"), await _info(redis, "memory")
    asked = clock()
    seconds, microseconds = map(int, await redis.execute("TIME"))
    told = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
    return RedisFacts(
        version=str(server.get("redis_version", "")),
        eviction=memory.get("maxmemory_policy"),
        ahead=told - asked - (clock() - asked) / 2,
    )


async def _info(redis: Commands, section: str) -> dict[str, Any]:
    """Ask for a part of INFO, which some services keep to themselves."""
    try:
        return dict(await redis.execute("INFO", section))
    except RedisUnavailable as error:
        if isinstance(error.__cause__, ResponseError):
            return {}
        raise
