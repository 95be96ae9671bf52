"""The limits on guessing hold over several workers, over their deaths, and over the loss of Redis."""

import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from redis import Redis

from service import embedded
from tests.process.blocks import add_user, block, hours
from tests.process.running import RunningService, needs_proc, running_service
from tests.timing import time_limit, wait_until

WINDOW_SECONDS = 3


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    env = {"WEB_CONCURRENCY": "2", "LIMIT_LOGIN": f"5/{WINDOW_SECONDS}", "LIMIT_LOGIN_NETWORK": "0"}
    with running_service(tmp_path_factory.mktemp("guarding"), **env) as running:
        yield running


@pytest.fixture
def slow_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Run one worker whose hashes take long enough to die in, with two attempts per window."""
    env = {"WEB_CONCURRENCY": "1", "BCRYPT_COST": "13", "LIMIT_LOGIN": f"2/{WINDOW_SECONDS}"}
    with running_service(tmp_path_factory.mktemp("slow"), **env) as running:
        yield running


def test_of_200_parallel_guesses_over_two_workers_5_are_looked_at(service: RunningService) -> None:
    somebody = secrets.token_hex(4)  # another one when it is tried again
    with ThreadPoolExecutor(200) as pool, time_limit(WINDOW_SECONDS):
        answers = list(pool.map(lambda _: service.log_in(somebody, "wrong"), range(200)))

    assert Counter(answer.status_code for answer in answers) == {401: 5, 429: 195}


@pytest.mark.thorough
def test_whoever_sleeps_what_the_refusal_says_is_let_in(service: RunningService) -> None:
    refused = guess_until_refused(service, "causas")

    time.sleep(int(refused.headers["retry-after"]))

    assert service.log_in().status_code == 200


def test_a_flushed_redis_frees_no_blocked_account(service: RunningService) -> None:
    add_user(service, "bea")
    block(service, "bea", hours(1))
    before = service.log_in("bea")

    with Redis.from_url(embedded.redis_url(service.data_dir)) as redis:
        redis.flushall()
    after = service.log_in("bea")

    assert [before.status_code, after.status_code] == [429, 429]
    assert 3500 < int(after.headers["retry-after"]) <= 3600


@pytest.mark.thorough
@needs_proc
def test_a_worker_killed_in_mid_hash_gives_no_free_guess_and_locks_nobody_out(
    slow_service: RunningService,
) -> None:
    begun = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        guesses = [pool.submit(slow_service.log_in, "causas", "wrong") for _ in range(2)]
        wait_until(lambda: attempts_in_redis(slow_service) == 2, seconds=3)
        (worker,) = slow_service.workers()
        os.kill(worker, signal.SIGKILL)
        for guess in guesses:
            assert isinstance(guess.exception(), httpx.TransportError)

    answer = slow_service.log_in()

    assert time.monotonic() - begun > WINDOW_SECONDS
    assert answer.status_code == 200


def guess_until_refused(service: RunningService, user: str) -> httpx.Response:
    for _ in range(10):
        answer = service.log_in(user, "wrong")
        if answer.status_code == 429:
            return answer
    raise AssertionError(answer)


def attempts_in_redis(service: RunningService) -> int:
    with Redis.from_url(embedded.redis_url(service.data_dir), decode_responses=True) as redis:
        return sum(redis.zcard(key) for key in redis.scan_iter("bo:{lg}:p:*"))
