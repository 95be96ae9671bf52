"""Processes die, differ in their clocks and keys, and race: what was acknowledged holds in all of them."""

import base64
import json
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest
from redis import Redis

from tests.backoffice import PASSWORD, claims_of
from tests.faults.conftest import StartSite, slowly
from tests.faults.site import Site
from tests.faults.traffic import Answer, Caller, Session, assert_kept
from tests.process.running import RunningService, missing, needs_proc
from tests.timing import TooLate, assert_within, wait_until

NEW_PASSWORD = "a different horse altogether"
SKEW_SECONDS = 5
LEEWAY_SECONDS = 5
SHORT_TTL_SECONDS = 3
ALONE: Mapping[str, str] = {}
# A hash takes its time, as in production; attempts are counted, and never too many.
IN_EARNEST = {"BCRYPT_COST": "12", "LIMIT_LOGIN": "1000/60"}
# What an answer may need from the service to here.
ON_ITS_WAY_SECONDS = 0.05

pytestmark = needs_proc


@pytest.mark.parametrize("count", [100, slowly(1000)])
def test_a_logout_on_one_instance_is_refused_by_the_other_on_the_next_request(
    start: StartSite, database_url: str, count: int
) -> None:
    site = start(database_url)

    def out_and_in(number: int) -> tuple[int, int]:
        here, there = (Caller(port) for port in (site.ports[number % 2], site.ports[1 - number % 2]))
        token = here.token()
        assert there.who_am_i(token).status == 200
        statuses = here.log_out(token).status, there.who_am_i(token).status
        here.close()
        there.close()
        return statuses

    with ThreadPoolExecutor(4) as pool:
        statuses = Counter(pool.map(out_and_in, range(count)))

    assert statuses == {(204, 401): count}


@pytest.mark.thorough
def test_a_worker_killed_in_the_middle_of_a_login(start: StartSite, database_url: str) -> None:
    site = start(database_url, ALONE, WEB_CONCURRENCY="2", **IN_EARNEST)
    service = site.instances[0]
    create(service, "eve")
    token = log_in(site, "eve").body["token"]
    victim, survivor = two_workers(service)
    with ThreadPoolExecutor(6) as pool:
        with paused(survivor):
            doomed = [pool.submit(log_in, site, "eve") for _ in range(3)]
            wait_until(lambda: pending(site.redis.client) == 3, 3)
            os.kill(victim, signal.SIGSTOP)
        spared = [pool.submit(log_in, site, "eve") for _ in range(3)]

        os.kill(victim, signal.SIGKILL)
        killed_at = time.monotonic()
        meanwhile = {look(site, token)}
        while not service.workers() - {victim, survivor} and time.monotonic() < killed_at + 5:
            meanwhile.add(look(site, token))
        replaced = time.monotonic() - killed_at

    assert 0 in statuses_of(doomed)
    assert statuses_of(doomed) <= {0, 200}
    assert statuses_of(spared) == {200}
    assert meanwhile == {200}
    assert_within(3, replaced)


@pytest.mark.slow
def test_repeated_sigterm_with_two_dozen_logins_in_flight(start: StartSite, database_url: str) -> None:
    # It is about those that were taken up, not about how long a slow machine would have them wait.
    site = start(database_url, ALONE, WEB_CONCURRENCY="2", LOGIN_DEADLINE="25s", **IN_EARNEST)
    service = site.instances[0]
    create(service, "eve")
    with ThreadPoolExecutor(24) as pool:
        logins = [pool.submit(log_in, site, "eve") for _ in range(24)]
        wait_until(lambda: pending(site.redis.client) > 15, 5)
        begun = time.monotonic()

        for _ in range(3):
            os.killpg(service.process.pid, signal.SIGTERM)
            time.sleep(0.2)
        exit_code = service.process.wait(30)

    assert Counter(login.result().status for login in logins) == {200: 24}
    assert exit_code == 0
    assert_within(10, time.monotonic() - begun)


@pytest.mark.slow
@pytest.mark.parametrize("skew", [SKEW_SECONDS, -SKEW_SECONDS])
def test_instances_whose_clocks_differ(start: StartSite, database_url: str, skew: int) -> None:
    site = start(database_url, ALONE, another_clock(skew), SESSION_TTL=f"{SHORT_TTL_SECONDS}s")
    begun = time.time()
    tokens = [caller.token() for caller in site.callers]
    assert int(claims_of(tokens[1])["iat"]) - begun == pytest.approx(skew, abs=1.5)

    accepted = [caller.who_am_i(token).status for caller in site.callers for token in tokens]
    last_accepted = [[0.0, 0.0], [0.0, 0.0]]
    ends = [int(claims_of(token)["exp"]) for token in tokens]
    while time.time() < begun + abs(skew) + SHORT_TTL_SECONDS + LEEWAY_SECONDS + 1:
        for number, (caller, ahead) in enumerate(zip(site.callers, (0, skew), strict=True)):
            for which, token in enumerate(tokens):
                asked_at = time.time() + ahead
                if caller.who_am_i(token).status == 200:
                    last_accepted[number][which] = asked_at
        time.sleep(0.05)

    assert accepted == [200, 200, 200, 200]
    late = [last - end for row in last_accepted for last, end in zip(row, ends, strict=True)]
    assert max(late) <= LEEWAY_SECONDS, late


@pytest.mark.slow
def test_a_logout_counts_on_an_instance_with_another_clock(start: StartSite, database_url: str) -> None:
    site = start(database_url, ALONE, another_clock(SKEW_SECONDS))
    here, there = site.callers
    tokens = [(here.token(), here, there), (there.token(), there, here)]

    statuses = [(out.log_out(token).status, other.who_am_i(token).status) for token, out, other in tokens]

    assert statuses == [(204, 401), (204, 401)]


@pytest.mark.slow
def test_keys_rotated_under_load(start: StartSite, database_url: str) -> None:
    old, new = jwk("old"), jwk("new")
    site = start(database_url, JWT_KEYS=jwks(old))
    with site.traffic() as traffic:
        # Every instance must know a key before the first one signs with it.
        for keys in (jwks(old, new), jwks(new, old)):
            for number, port in enumerate(site.ports):
                traffic.spare(port)
                site.restart(number, JWT_KEYS=keys)
                traffic.resume(port)
        time.sleep(0.5)

    assert_kept(traffic.books, within=2)
    assert {kid_of(session) for session in traffic.books.sessions} == {"old", "new"}
    assert all(traffic.books.statuses(kind)[503] == 0 for kind in traffic.books.answers), str(traffic.books)


def set_password(service: RunningService) -> None:
    service.scripts("users", "set-password", "eve", "--password-stdin", input=NEW_PASSWORD).check_returncode()


def disable(service: RunningService) -> None:
    service.scripts("users", "disable", "eve").check_returncode()


def revoke(service: RunningService) -> None:
    service.scripts("tokens", "revoke", "--user", "eve").check_returncode()


@pytest.mark.slow
@pytest.mark.parametrize("shut_out", [set_password, disable, revoke])
def test_what_is_in_flight_when_a_user_is_shut_out_is_refused(
    start: StartSite, database_url: str, shut_out: Callable[[RunningService], None]
) -> None:
    site = start(database_url, ALONE, **IN_EARNEST)
    service = site.instances[0]
    create(service, "eve")
    token = log_in(site, "eve").body["token"]
    with ThreadPoolExecutor(24) as pool:
        keep_the_pool_busy(site, pool)
        login = pool.submit(log_in, site, "eve")
        change = pool.submit(change_password, site, token, NEW_PASSWORD)
        refreshes = [pool.submit(refresh_until_refused, site, token) for _ in range(3)]
        wait_until(lambda: pending(site.redis.client) >= 11, 3)

        shut_out(service)
        acknowledged = time.monotonic()

        if login.done() or change.done():
            message = "They were not in flight any more."
            raise TooLate(message)

    assert (login.result().status, change.result().status) == (401, 401)
    assert_dead(site, refreshes, acknowledged)


@pytest.mark.slow
def test_what_is_in_flight_when_a_user_changes_her_password_is_refused(
    start: StartSite, database_url: str
) -> None:
    site = start(database_url, ALONE, **IN_EARNEST)
    create(site.instances[0], "eve")
    token = log_in(site, "eve").body["token"]
    with ThreadPoolExecutor(24) as pool:
        changes = [pool.submit(change_password, site, token, f"{NEW_PASSWORD} {n}") for n in range(2)]
        refreshes = [pool.submit(refresh_until_refused, site, token) for _ in range(3)]
        logins = [pool.submit(log_in_until_refused, site, "eve") for _ in range(6)]

    first, second = sorted((change.result() for change in changes), key=lambda answer: answer.status)
    assert (first.status, second.status) == (200, 401)
    acknowledged = first.asked_at + first.seconds
    given = [answer for login in logins for answer in login.result()]
    in_flight = [a for a in given if a.asked_at < acknowledged < a.asked_at + a.seconds - ON_ITS_WAY_SECONDS]
    assert {answer.status for answer in in_flight} == {401}
    assert_dead(site, refreshes, acknowledged)
    early = [answer.body["token"] for answer in given if answer.status == 200]
    assert {site.callers[0].who_am_i(token).status for token in early} <= {401}
    assert site.callers[0].who_am_i(first.body["token"]).status == 200


def assert_dead(site: Site, refreshes: "list[Future[list[Answer]]]", acknowledged: float) -> None:
    """Nothing was refreshed that was asked for later, and no token that was refreshed earlier works."""
    all_answers = [answer for refresh in refreshes for answer in refresh.result()]
    assert any(answer.status == 200 for answer in all_answers)
    assert all(answer.asked_at < acknowledged for answer in all_answers if answer.status == 200)
    assert {answer.status for answer in all_answers} == {200, 401}
    tokens = [answer.body["token"] for answer in all_answers if answer.status == 200]
    assert {site.callers[0].who_am_i(token).status for token in tokens[-50:]} == {401}


def log_in(site: Site, user: str, password: str = PASSWORD) -> Answer:
    with_own_connection = Caller(site.ports[0])
    answer = with_own_connection.log_in(user, password)
    with_own_connection.close()
    return answer


def log_in_until_refused(site: Site, user: str) -> list[Answer]:
    given = [log_in(site, user)]
    while given[-1].status == 200 and len(given) < 100:
        given.append(log_in(site, user))
    return given


def change_password(site: Site, token: str, new: str) -> Answer:
    caller = Caller(site.ports[0])
    answer = caller.change_password(token, PASSWORD, new)
    caller.close()
    return answer


def refresh_until_refused(site: Site, token: str) -> list[Answer]:
    caller = Caller(site.ports[0])
    given = [caller.refresh(token)]
    while given[-1].status == 200 and len(given) < 2000:
        time.sleep(0.01)
        given.append(caller.refresh(given[-1].body["token"]))
    caller.close()
    return given


def keep_the_pool_busy(site: Site, pool: ThreadPoolExecutor) -> None:
    """Have some seconds of hashing before whatever comes next."""
    for number in range(10):
        pool.submit(log_in, site, f"nobody {number}")
    wait_until(lambda: pending(site.redis.client) == 10, 3)


def statuses_of(asked: "list[Future[Answer]]") -> set[int]:
    return {future.result().status for future in asked}


def look(site: Site, token: str) -> int:
    caller = Caller(site.ports[0])
    status = caller.who_am_i(token).status
    caller.close()
    return status


def create(service: RunningService, user: str) -> None:
    service.scripts("users", "create", user, "--password-stdin", input=PASSWORD).check_returncode()


def pending(redis: "Redis") -> int:
    """Count the login attempts that are not settled."""
    counters = redis.scan_iter("bo:{lg}:p:*", count=1000)
    return sum(str(member).startswith("p:") for key in counters for member in redis.zrange(key, 0, -1))


def two_workers(service: RunningService) -> list[int]:
    wait_until(lambda: len(service.workers()) == 2, 3)
    return sorted(service.workers())


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Keep a worker from taking connections, so that the other must."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def another_clock(skew: int) -> dict[str, str]:
    """Give an environment in which it is so many seconds later; spans last as long as ever."""
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
    if library is None:
        missing("libfaketime is not installed")
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{skew:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def jwk(kid: str) -> dict[str, str]:
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return {"kty": "oct", "kid": kid, "k": key}


def jwks(*keys: dict[str, str]) -> str:
    return json.dumps({"keys": keys})


def kid_of(session: Session) -> str:
    return str(jwt.get_unverified_header(session.token)["kid"])
