"""However Redis is arranged, it is used; and when its primary dies, the next is found."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from datetime import timedelta

import pytest

from service.errors import RedisUnavailable
from service.stores.pipeline import Commands
from service.stores.redis_cluster import Cluster
from service.stores.redis_url import connect
from tests.faults.conftest import StartSite
from tests.faults.groups import (
    NAME,
    Sentinel,
    cluster,
    cluster_is_whole,
    encrypted_sentinel,
    holder_of,
    sentinels,
)
from tests.faults.servers import RedisServer, encrypted_redis_server, redis_server
from tests.faults.site import Site, copy_key
from tests.faults.traffic import GUESSED, LOST_AT_ONCE_SECONDS, assert_kept
from tests.process.running import free_port
from tests.timing import TooLate, assert_within, until, wait_until

pytestmark = pytest.mark.slow

CALM_SECONDS = 0.7
PROMOTED_SECONDS = 15
LIMIT = 5
TIMEOUT = timedelta(milliseconds=250)
# It says something else in a URL, if it is read as it stands.
AWKWARD = "p@ss:w/rd%41?"


@contextmanager
def with_a_password() -> Iterator[str]:
    with redis_server(requirepass=AWKWARD) as server:
        yield server.url


@contextmanager
def encrypted() -> Iterator[str]:
    with encrypted_redis_server(requirepass=AWKWARD) as server:
        yield server.url


@contextmanager
def behind_sentinels() -> Iterator[str]:
    with redis_server() as primary, redis_server() as replica, sentinels(primary, replica) as watching:
        yield url_of(watching, "redis+sentinel", f"/{NAME}/0")


@contextmanager
def a_cluster() -> Iterator[str]:
    with cluster(requirepass=AWKWARD, masterauth=AWKWARD) as nodes:
        yield url_of(nodes, "redis+cluster")


@contextmanager
def an_encrypted_cluster() -> Iterator[str]:
    """One node that holds everything is a Cluster too."""
    options = {"cluster_enabled": "yes", "tls_cluster": "yes", "cluster_port": str(free_port())}
    with encrypted_redis_server(requirepass=AWKWARD, **options) as node:
        node.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: cluster_is_whole(node), 5)
        yield url_of([node], "rediss+cluster", "?ssl_cert_reqs=none")


@contextmanager
def behind_an_encrypted_sentinel() -> Iterator[str]:
    with (
        encrypted_redis_server(requirepass=AWKWARD) as primary,
        encrypted_sentinel(primary) as sentinel,
    ):
        at = f"{primary.credentials}127.0.0.1:{sentinel.port}"
        yield f"rediss+sentinel://{at}/{NAME}/0?ssl_cert_reqs=none"


Arrangement = Callable[[], AbstractContextManager[str]]
ARRANGEMENTS: Sequence[Arrangement] = (
    with_a_password,
    encrypted,
    behind_sentinels,
    behind_an_encrypted_sentinel,
    a_cluster,
    an_encrypted_cluster,
)


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_it_is_used(arrangement: Arrangement, start: StartSite, database_url: str) -> None:
    with arrangement() as url:
        site = two_instances(start, database_url, url, LIMIT_LOGIN=f"{LIMIT}/60", REDIS_TIMEOUT="5s")
        here, there = site.callers
        token, another = here.token(), here.token()

        seen = [there.who_am_i(token).status, here.log_out(token).status, there.who_am_i(token).status]
        refreshed = there.refresh(another)
        guesses = [caller.log_in(GUESSED, "wrong").status for caller in (here, there) * LIMIT]

        assert seen == [200, 204, 401]
        assert here.who_am_i(refreshed.body["token"]).status == 200
        # Both count as one: they count in Redis.
        assert guesses == [401] * LIMIT + [429] * LIMIT
        assert site.said("redis_") == [0, 0]


@contextmanager
def killed(server: RedisServer) -> Iterator[None]:
    server.kill()
    yield


@contextmanager
def frozen(server: RedisServer) -> Iterator[None]:
    with server.frozen():
        yield


Gone = Callable[[RedisServer], AbstractContextManager[None]]


@pytest.mark.parametrize("gone", [killed, frozen])
def test_sentinels_replace_the_primary(
    gone: Gone, start: StartSite, database_url: str, redis: RedisServer, another_redis: RedisServer
) -> None:
    with sentinels(redis, another_redis) as watching:
        url = url_of(watching, "redis+sentinel", f"/{NAME}/0")
        site = two_instances(start, database_url, url)
        assert_kept_through(site, gone(redis), another_redis, lambda: know(watching, another_redis))


def test_a_sentinel_that_is_frozen_is_passed_over(
    start: StartSite, database_url: str, redis: RedisServer, another_redis: RedisServer
) -> None:
    with sentinels(redis, another_redis) as watching, watching[0].frozen():
        site = two_instances(start, database_url, url_of(watching, "redis+sentinel", f"/{NAME}/0"))

        assert_within(1, site.recovered_in(1))
        # The frozen one has cost a part of the time that a command may take.
        if any(site.said("redis_lost")):
            raise TooLate("the Sentinel that answers was not asked in time")


@pytest.mark.parametrize("gone", [killed, frozen])
def test_a_cluster_replaces_a_primary(gone: Gone, start: StartSite, database_url: str) -> None:
    with cluster(requirepass=AWKWARD, masterauth=AWKWARD) as nodes:
        site = two_instances(start, database_url, url_of(nodes, "redis+cluster"))
        number = holder_of(copy_key(site.callers[0].token()), nodes)
        replica = nodes[number + len(nodes) // 2]
        assert_kept_through(site, gone(nodes[number]), replica, lambda: cluster_is_whole(replica))


async def test_a_node_that_was_replaced_is_forgotten() -> None:
    with cluster() as nodes:
        async with connected_to(url_of(nodes, "redis+cluster")) as redis:
            held = [f"key-{number}" for number in range(20)]
            for key in held:
                await redis.execute("SET", key, "value")
            others = nodes[1:3]
            before = clients_of(others)

            nodes[0].kill()
            lost = [await answers(redis, key) for key in held].count(False)
            was_lost = redis.lost
            await until(lambda: found_again(redis), PROMOTED_SECONDS)

            assert 0 < lost < len(held)
            assert was_lost
            # Who has just been promoted may say for a moment that the cluster is down.
            await until(lambda: all_answered(redis, held), 1)
            # No connection is left of each time that the cluster was asked for its slots.
            await asyncio.sleep(CALM_SECONDS)
            assert clients_of(others) <= before


async def test_a_slot_that_nobody_held_is_asked_for_again() -> None:
    with cluster() as nodes:
        async with connected_to(url_of(nodes, "redis+cluster")) as redis:
            await redis.execute("SET", "key", "value")
            assert isinstance(redis, Cluster)
            assert redis._slots is not None
            # As a cluster answers that is still being made.
            redis._slots.nodes_manager.slots_cache.clear()

            assert not await answers(redis, "key")
            await until(lambda: answers(redis, "key"), 1)


async def test_a_planned_failover_of_a_cluster_is_followed_by_the_first_command() -> None:
    with cluster() as nodes:
        async with connected_to(url_of(nodes, "redis+cluster")) as redis:
            held = [f"key-{number}" for number in range(20)]
            for key in held:
                await redis.execute("SET", key, "value")

            nodes[3].ask("CLUSTER", "FAILOVER")
            wait_until(lambda: all(is_primary(nodes[3], of=node) for node in nodes), PROMOTED_SECONDS)

            assert [await redis.execute("GET", key) for key in held] == ["value"] * len(held)
            assert not redis.lost


async def test_a_cluster_that_is_away_is_waited_for_once() -> None:
    with cluster() as nodes, ExitStack() as stack:
        async with connected_to(url_of(nodes, "redis+cluster")) as redis:
            for node in nodes:
                stack.enter_context(node.frozen())
            begun = time.monotonic()
            assert not await answers(redis, "key")
            first = time.monotonic()
            for _ in range(20):
                assert not await answers(redis, "key")
            then = time.monotonic()
            stack.close()

            assert_within(2 * TIMEOUT.total_seconds(), first - begun)
            assert_within(TIMEOUT.total_seconds(), then - first)
            await until(lambda: found_again(redis), PROMOTED_SECONDS)
            await until(lambda: answers(redis, "key"), PROMOTED_SECONDS)


async def test_a_node_that_has_lost_sight_of_its_cluster_keeps_nobody_waiting() -> None:
    with cluster() as nodes, ExitStack() as stack:
        async with connected_to(url_of(nodes, "redis+cluster")) as redis:
            key = next(key for key in map(str, range(100)) if holder_of(key, nodes) == 0)
            assert await answers(redis, key)
            for node in nodes[1:]:
                stack.enter_context(node.frozen())
            wait_until(lambda: not cluster_is_whole(nodes[0]), PROMOTED_SECONDS)

            begun = time.monotonic()
            answered = {await answers(redis, key) for _ in range(20)}
            took = time.monotonic() - begun
            stack.close()

            assert (answered, redis.lost) == ({False}, False)
            assert_within(TIMEOUT.total_seconds(), took)
            await until(lambda: answers(redis, key), PROMOTED_SECONDS)


def assert_kept_through(
    site: Site, fault: AbstractContextManager[None], replica: RedisServer, found: Callable[[], bool]
) -> None:
    """Nothing is lost or comes back while a primary goes and its replica takes over."""
    with site.traffic(grace_seconds=LOST_AT_ONCE_SECONDS) as traffic:
        time.sleep(CALM_SECONDS)

        with fault:
            wait_until(lambda: replica.replication("role") == "master" and found(), PROMOTED_SECONDS)
            promoted = time.monotonic()
            recovered = site.recovered_in(5, replica)
            time.sleep(CALM_SECONDS)
            calm = time.monotonic()

    assert_kept(traffic.books, within=1)
    assert_within(2, recovered)
    assert set(traffic.books.statuses("log_in", (promoted + recovered, calm))) == {200}


@asynccontextmanager
async def connected_to(url: str) -> AsyncIterator[Commands]:
    redis = connect(url, TIMEOUT)
    try:
        yield redis
    finally:
        await redis.close()


async def answers(redis: Commands, key: str) -> bool:
    try:
        await redis.execute("GET", key)
    except RedisUnavailable:
        return False
    return True


async def all_answered(redis: Commands, keys: Sequence[str]) -> bool:
    return all([await answers(redis, key) for key in keys])


async def found_again(redis: Commands) -> bool:
    return not redis.lost


def is_primary(node: RedisServer, *, of: RedisServer) -> bool:
    """Whether a node is a primary in the eyes of another."""
    lines = str(of.ask("CLUSTER", "NODES")).splitlines()
    (flags,) = (line.split()[2] for line in lines if f":{node.port}@" in line)
    return "master" in flags


def clients_of(nodes: Iterable[RedisServer]) -> int:
    return sum(node.client.info("clients")["connected_clients"] for node in nodes)


def two_instances(start: StartSite, database_url: str, redis_url: str, **env: str) -> Site:
    own = {"REDIS_URL": redis_url}
    return start(database_url, own, own, **env)


def url_of(servers: Sequence[RedisServer], scheme: str, rest: str = "") -> str:
    addresses = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return f"{scheme}://{servers[0].credentials}{addresses}{rest}"


def know(watching: Sequence[Sentinel], primary: RedisServer) -> bool:
    return {sentinel.primary_port() for sentinel in watching} == {primary.port}
