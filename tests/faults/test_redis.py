"""Whatever happens to Redis: no revoked token comes back, no living session is lost, nobody waits long."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import pytest
from redis.exceptions import OutOfMemoryError, ReadOnlyError

from tests.faults.conftest import StartSite, slowly
from tests.faults.proxy import Mode, Proxy
from tests.faults.servers import RedisServer
from tests.faults.site import Site, copy_in, copy_key, vouched_for
from tests.faults.traffic import GUESSED, LOST_AT_ONCE_SECONDS, Books, Caller, Kind, Traffic, assert_kept
from tests.timing import TooLate, assert_within, seconds_until, wait_until

# Longer than any process may take to read of a revocation in the database.
CALM_SECONDS = 0.7
LONG_SECONDS = 5.0
# A token that is accepted for so long is not late to be refused.
FOR_GOOD_SECONDS = 2.0
LIMIT = 5
ALONE: Mapping[str, str] = {}
# Not taken for lost as well when the machine stands still for a moment.
DATABASE_IS_THERE = {"DATABASE_TIMEOUT": "5s"}
# See docs/operations.md, "When a store fails".
ANSWERS: Mapping[Kind, int] = {
    "log_in": 200,
    "who_am_i": 200,
    "revoked": 401,
    "log_out": 204,
    "refresh": 200,
}

Fault = Callable[[Site], AbstractContextManager[None]]


@pytest.fixture
def site(start: StartSite, database_url: str) -> Site:
    """Two instances over one database and one Redis."""
    return start(database_url, **DATABASE_IS_THERE)


def test_killed_and_started_again_with_nothing(site: Site) -> None:
    block("nobody", site)
    with site.traffic() as traffic:
        time.sleep(CALM_SECONDS)

        site.redis.kill()
        time.sleep(1)
        site.redis.start()
        recovered = site.recovered_in(3)

    assert_kept(traffic.books, within=1)
    assert_within(1, recovered)
    assert is_blocked("nobody", site)
    assert min(site.said("redis_lost")) > 0


def test_flushed(site: Site) -> None:
    block("nobody", site)
    with site.traffic() as traffic:
        time.sleep(CALM_SECONDS)

        held = site.redis.client.dbsize()
        site.redis.client.flushall()
        recovered = site.recovered_in(3)
        time.sleep(CALM_SECONDS)

    assert_kept(traffic.books, within=1)
    assert_within(1, recovered)
    assert is_blocked("nobody", site)
    assert held > len(traffic.books.alive()) / 2


@pytest.mark.slow
def test_evicting_keys_of_any_kind(site: Site) -> None:
    with site.traffic() as traffic:
        for _ in range(20):
            site.redis.evict_some()
            time.sleep(0.1)

    assert_kept(traffic.books, within=1)
    assert site.redis.counter("evicted_keys") > 20


def test_started_again_from_an_older_snapshot(site: Site) -> None:
    with site.traffic(grace_seconds=LOST_AT_ONCE_SECONDS) as traffic:
        time.sleep(CALM_SECONDS)
        opened = traffic.books.alive()
        older = site.redis.save()
        remembered = [session for session in opened if session.state == "alive"]
        time.sleep(CALM_SECONDS)
        wait_until(lambda: any(session.state == "revoked" for session in remembered), 5)

        with out_of_reach(site):
            site.redis.restart(older)
            # Once it is in reach, tombstones come within milliseconds.
            vouches_for = vouched_for(site.redis, traffic.books)
        recovered = site.recovered_in(3)
        time.sleep(CALM_SECONDS)

    assert_kept(traffic.books, within=1)
    assert_within(1, recovered)
    assert vouches_for > 0


def test_a_revocation_that_redis_lost_at_once_counts_half_a_second_later(site: Site) -> None:
    here, there = site.callers
    for _ in range(4):
        token = here.token()
        alive = copy_in(site.redis, token)
        assert there.who_am_i(token).status == 200

        acknowledged = here.log_out(token).status
        site.redis.client.set(copy_key(token), alive or "")
        accepted = [seconds_until_refused(caller, token) for caller in (here, there)]

        assert acknowledged == 204
        assert max(accepted) < FOR_GOOD_SECONDS
        assert_within(LOST_AT_ONCE_SECONDS, max(accepted))


@pytest.mark.slow
def test_failover_to_a_replica_that_lost_the_last_writes(site: Site, another_redis: RedisServer) -> None:
    with Proxy(site.redis.port) as link, site.traffic(grace_seconds=LOST_AT_ONCE_SECONDS) as traffic:
        follow(another_redis, link.port)
        time.sleep(CALM_SECONDS)
        fall_behind(another_redis, link, traffic)

        site.redis.kill()
        another_redis.promote()
        lead_to(another_redis, site)
        time.sleep(2 * CALM_SECONDS)

    assert_kept(traffic.books, within=1)
    assert another_redis.counter("total_commands_processed") > 100


@pytest.mark.slow
def test_an_older_copy_promoted_in_place(site: Site, another_redis: RedisServer) -> None:
    with Proxy(site.redis.port) as link, site.traffic(grace_seconds=LOST_AT_ONCE_SECONDS) as traffic:
        follow(another_redis, link.port)
        time.sleep(CALM_SECONDS)
        fall_behind(another_redis, link, traffic)
        another_redis.promote()

        follow(site.redis, another_redis.port)
        # It only reads so far. Once it is promoted, the tombstones that it refused come within milliseconds.
        assert vouched_for(site.redis, traffic.books) > 0
        site.redis.promote()
        time.sleep(2 * CALM_SECONDS)

    assert_kept(traffic.books, within=1)
    assert [way.cut for way in site.ways] == [0, 0]


@pytest.mark.slow
def test_fail_back_by_a_partial_resync(site: Site, another_redis: RedisServer) -> None:
    first, second = site.redis, another_redis
    follow(second, first.port)
    with Proxy(second.port) as link, site.traffic(grace_seconds=LOST_AT_ONCE_SECONDS) as traffic:
        time.sleep(CALM_SECONDS)
        lead_to(second, site)
        wait_until(lambda: has_all_of(first, second), 3)
        second.promote()
        follow(first, link.port)
        time.sleep(CALM_SECONDS)
        fall_behind(first, link, traffic)

        first.promote()
        lead_to(first, site)
        time.sleep(2 * CALM_SECONDS)

    assert_kept(traffic.books, within=1)
    assert second.counter("sync_partial_ok") == 1


@pytest.mark.slow
def test_frozen_for_all(site: Site) -> None:
    with site.traffic() as traffic:
        time.sleep(CALM_SECONDS)

        with site.redis.frozen():
            time.sleep(LONG_SECONDS)
        recovered = site.recovered_in(3)
        time.sleep(CALM_SECONDS)

    assert_kept(traffic.books, within=1)
    assert_within(1, recovered)
    assert min(site.said("redis_lost")) > 0


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["one instance", "all instances"])
@pytest.mark.parametrize("how", ["hold", "reset"])
def test_out_of_reach(site: Site, how: Mode, whom: str) -> None:
    ways = site.ways[:1] if whom == "one instance" else site.ways
    with site.traffic() as traffic:
        time.sleep(CALM_SECONDS)

        gone = time.monotonic()
        for way in ways:
            way.set(how)
        time.sleep(LONG_SECONDS)
        for way in ways:
            way.set("pass")
        back = time.monotonic()
        recovered = site.recovered_in(3)
        time.sleep(CALM_SECONDS)

    assert_kept(traffic.books, within=1)
    assert_within(1, recovered)
    assert_answered_as_documented(traffic.books, (gone, back))
    assert all(way.held_bytes + way.cut > 0 for way in ways)
    lost = site.said("redis_lost")
    assert min(lost[: len(ways)]) > 0
    if any(lost[len(ways) :]):
        raise TooLate("the other instance waited for Redis too long as well")


@pytest.mark.parametrize("how", ["hold", *map(slowly, ("refuse", "reset"))])
def test_a_logout_through_the_instance_that_lost_redis_counts_on_the_other(site: Site, how: Mode) -> None:
    lost, other = site.callers
    tokens = [other.token() for _ in range(3)]
    assert [caller.who_am_i(token).status for caller in site.callers for token in tokens] == [200] * 6

    site.ways[0].set(how)
    logouts = [lost.log_out(token) for token in tokens]
    seen = [other.who_am_i(token).status for token in tokens]

    assert [answer.status for answer in logouts] == [204, 204, 204]
    assert seen == [401, 401, 401]
    assert_within(1, max(answer.seconds for answer in logouts))
    assert site.ways[0].held_bytes + site.ways[0].cut > 0


@contextmanager
def out_of_memory(site: Site) -> Iterator[None]:
    site.redis.refuse_to_grow()
    with pytest.raises(OutOfMemoryError):
        site.redis.client.set("one", "more")
    yield
    site.redis.client.config_set("maxmemory", 0)


@contextmanager
def read_only(site: Site) -> Iterator[None]:
    # A replica of nobody keeps what it has, and takes no writes.
    site.redis.follow(1)
    with pytest.raises(ReadOnlyError):
        site.redis.client.set("one", "more")
    yield
    site.redis.promote()


@contextmanager
def slow(site: Site) -> Iterator[None]:
    for way in site.ways:
        way.delay(0.2)
    yield
    for way in site.ways:
        assert way.delayed > 0
        way.delay(0)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [out_of_memory, read_only, slow])
def test_only_half_there(site: Site, fault: Fault) -> None:
    with site.traffic() as traffic:
        time.sleep(CALM_SECONDS)

        with fault(site):
            time.sleep(2)
        recovered = site.recovered_in(3)

    assert_kept(traffic.books, within=1)
    assert_within(1, recovered)


@pytest.mark.parametrize("fault", [out_of_memory, *map(slowly, (read_only, slow))])
def test_the_login_limit_holds_with_a_redis_that_is_only_half_there(
    start: StartSite, database_url: str, fault: Fault
) -> None:
    site = start(database_url, ALONE, LIMIT_LOGIN=f"{LIMIT}/60")

    with fault(site):
        statuses = guess(site, 24)

    assert set(statuses) <= {401, 429, 503}
    assert 1 <= statuses[401] <= LIMIT
    assert statuses[429] > 0


def test_the_login_limit_at_most_doubles_when_redis_is_lost_and_comes_back_with_nothing(
    start: StartSite, database_url: str
) -> None:
    site = start(database_url, ALONE, LIMIT_LOGIN=f"{LIMIT}/60")

    statuses = guess(site, 10)
    site.redis.kill()
    statuses += guess(site, 10)
    site.redis.start()
    wait_until(lambda: site.said("redis_back") == site.said("redis_lost"), 3)
    statuses += guess(site, 10)

    assert set(statuses) == {401, 429}
    assert LIMIT < statuses[401] <= 2 * LIMIT


def seconds_until_refused(caller: Caller, token: str) -> float:
    return seconds_until(lambda: caller.who_am_i(token).status == 401, FOR_GOOD_SECONDS)


def block(user: str, site: Site) -> None:
    """Guess until the account is blocked."""
    statuses = [site.callers[0].log_in(user, "wrong").status for _ in range(110)]
    assert statuses[-1] == 429, statuses


def is_blocked(user: str, site: Site) -> bool:
    return {caller.log_in(user, "wrong").status for caller in site.callers} == {429}


def guess(site: Site, times: int) -> Counter[int]:
    """Try wrong passwords, several at a time."""

    def once(_: int) -> int:
        caller = Caller(site.ports[0])
        status = caller.log_in(GUESSED, "wrong").status
        caller.close()
        return status

    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(once, range(times)))


def fall_behind(replica: RedisServer, link: Proxy, traffic: Traffic) -> None:
    """Cut it off from its primary until it vouches for sessions that were revoked meanwhile."""
    link.set("hold")
    time.sleep(CALM_SECONDS)
    wait_until(lambda: vouched_for(replica, traffic.books) > 0, 5)


@contextmanager
def out_of_reach(site: Site) -> Iterator[None]:
    """Keep the instances from their Redis for the length of the block, as if it were not up yet."""
    for way in site.ways:
        way.set("refuse")
    yield
    for way in site.ways:
        way.set("pass")


def assert_answered_as_documented(books: Books, away: tuple[float, float]) -> None:
    """Whatever was asked got the status that the table has; all of it was asked while Redis was away."""
    statuses = {kind: set(books.statuses(kind)) for kind in ANSWERS}
    if not all(books.statuses(kind, away) for kind in ANSWERS):
        message = f"nobody tried everything while it was away; {books}"
        raise TooLate(message)
    if any(503 in given for given in statuses.values()):
        message = f"503, which is right only if the database was too slow as well; {books}"
        raise TooLate(message)
    assert statuses == {kind: {status} for kind, status in ANSWERS.items()}, str(books)


def follow(replica: RedisServer, port: int) -> None:
    replica.follow(port)
    wait_until(replica.follows, 5)


def has_all_of(primary: RedisServer, replica: RedisServer) -> bool:
    return replica.replication("slave_repl_offset") == primary.replication("master_repl_offset")


def lead_to(redis: RedisServer, site: Site) -> None:
    for way in site.ways:
        way.lead_to(redis.port)
