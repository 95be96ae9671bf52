"""What `doctor` finds out of stores is what they are."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tortoise.connection import get_connection

from models import User
from service.clock import utc_now
from service.settings import Environment, Settings
from service.wiring import UseCases, open_use_cases
from tests.conftest import Running
from tests.faults.servers import RedisServer, redis_server
from tests.timing import time_limit

SOUND = "0123456789abcdefghijklmnopqrstuv"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of production, but for the hashes."""
    return replace(
        settings,
        environment=Environment.PRODUCTION,
        jwt_secret=SOUND,
        trusted_proxy_hops=1,
        limit_network=None,
    )


@pytest.fixture(scope="module")
def evicting() -> Iterator[RedisServer]:
    with redis_server(maxmemory_policy="allkeys-lru") as server:
        yield server


async def found_by(use_cases: UseCases) -> dict[str, str]:
    # By the real time, as the stores tell it: that of the tests stands still.
    examine = replace(use_cases.examine, clock=utc_now)
    found = {finding.check: finding.sentence for finding in await examine(thoroughly=False)}
    # Set so that other tests need not mind it.
    del found["limits_off"]
    return found


async def found_in(settings: Settings) -> dict[str, str]:
    async with open_use_cases(settings) as use_cases:
        return await found_by(use_cases)


async def test_a_sound_installation_is_found_sound(service: Running) -> None:
    assert await found_by(service.use_cases) == {}


async def test_how_long_a_hash_takes_is_measured(service: Running) -> None:
    (found,) = [
        each for each in await service.use_cases.examine(thoroughly=True) if each.check == "hash_time"
    ]

    assert re.match(
        r"A hash at BCRYPT_COST 4 takes [0-9]+ ms here, .* set BCRYPT_COST to 5\.", found.sentence
    )


async def test_what_redis_evicts_is_seen(settings: Settings, evicting: RedisServer) -> None:
    found = await found_in(replace(settings, redis_url=evicting.url))

    assert "allkeys-lru" in found.pop("evicting_redis")
    assert found == {}


async def test_a_redis_that_does_not_answer_is_no_more_than_a_warning(settings: Settings) -> None:
    assert [*await found_in(replace(settings, redis_url="redis://127.0.0.1:1/0"))] == ["silent_redis"]


async def test_why_redis_does_not_answer_is_told(settings: Settings, evicting: RedisServer) -> None:
    found = await found_in(replace(settings, redis_url=evicting.url.replace("/0", "/9999")))

    assert "(DB index is out of range)" in found["silent_redis"]


async def test_a_redis_that_tells_little_is_not_accused(settings: Settings, evicting: RedisServer) -> None:
    evicting.ask("ACL", "SETUSER", "shy", "on", ">pw", "~*", "&*", "+@all", "-info")

    found = await found_in(replace(settings, redis_url=evicting.url.replace("//", "//shy:pw@")))

    assert found == {}


async def test_a_frozen_redis_is_waited_for_as_long_as_by_a_request(
    settings: Settings, evicting: RedisServer
) -> None:
    with time_limit(2), evicting.frozen():
        frozen = replace(settings, redis_url=evicting.url, redis_timeout=timedelta(milliseconds=250))
        found = await found_in(frozen)

    assert [*found] == ["silent_redis"]


async def test_a_schema_without_tables_is_pending(settings: Settings, tmp_path: Path) -> None:
    found = await found_in(replace(settings, database_url=f"sqlite://{tmp_path / 'empty.sqlite3'}"))

    assert "0001_initial" in found.pop("pending_migrations")
    assert found == {}


async def test_migrations_of_a_later_release_are_seen(service: Running) -> None:
    examine = service.use_cases.examine
    sql = "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ('models', '9999_x', '2026-01-01')"
    await examine.database.read(lambda: _execute(sql))
    found = await found_by(service.use_cases)
    await examine.database.read(lambda: _execute("DELETE FROM tortoise_migrations WHERE name = '9999_x'"))

    assert "9999_x" in found["later_migrations"]


async def test_plain_text_over_a_network_is_seen(settings: Settings, evicting: RedisServer) -> None:
    # 127.1 is this machine, and nobody who only reads it would think so.
    url = evicting.url.replace("127.0.0.1", "127.1")

    assert "plain_redis" in await found_in(replace(settings, redis_url=url))


async def test_a_key_of_few_characters_is_seen(settings: Settings) -> None:
    assert [*await found_in(replace(settings, jwt_secret="secret" * 6))] == ["weak_key"]


async def test_the_demo_user_is_seen_until_she_may_not_come_in(service: Running) -> None:
    use_cases = service.use_cases
    await User.filter(user_key="causas").delete()
    await use_cases.create_demo_user()

    there = await found_by(use_cases)
    await use_cases.disable_user("causas", by="test")
    shut_out = await found_by(use_cases)

    assert ([*there], [*shut_out]) == (["demo_user"], [])


async def test_a_user_by_her_name_with_another_password_is_no_demo_user(service: Running) -> None:
    assert "demo_user" not in await found_by(service.use_cases)


async def _execute(sql: str) -> None:
    await get_connection("default").execute_script(sql)
