"""Several workers are one service, and nothing of it outlives its end."""

import json
import os
import signal
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from service import embedded
from tests.backoffice import PASSWORD
from tests.process.running import RunningService, needs_proc, running_service, wait_until

pytestmark = needs_proc

NewDirectory = Callable[[], Path]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("shared"), WEB_CONCURRENCY="2", LIMIT_LOGIN="0") as running:
        yield running


@pytest.fixture
def new_directory(tmp_path_factory: pytest.TempPathFactory) -> NewDirectory:
    """Make a data directory with a path short enough for a socket, whatever the test is called."""
    return lambda: tmp_path_factory.mktemp("own")


def test_a_logout_is_refused_by_every_worker_on_the_next_requests(service: RunningService) -> None:
    token = service.token()

    service.log_out(token)

    assert {service.who_am_i(token).status_code for _ in range(100)} == {401}


def test_a_logout_on_one_worker_counts_on_the_other(service: RunningService) -> None:
    one, other = workers_of(service)
    token = service.token()
    with paused(one):
        assert service.who_am_i(token).status_code == 200

    with paused(other):
        assert service.log_out(token).status_code == 204

    with paused(one):
        assert service.who_am_i(token).status_code == 401


def test_tokens_revoked_by_user_from_another_process_are_refused_on_the_next_request(
    service: RunningService,
) -> None:
    token = service.token()

    done = service.scripts("tokens", "revoke", "--user", "causas")

    assert service.who_am_i(token).status_code == 401
    assert done.returncode == 0


def test_a_token_revoked_by_its_jti_from_another_process_is_refused_on_the_next_request(
    service: RunningService,
) -> None:
    token, bystander = service.token(), service.token()

    done = service.scripts("tokens", "revoke", "--jti", claim(token, "jti"))

    assert service.who_am_i(token).status_code == 401
    assert service.who_am_i(bystander).status_code == 200
    assert (done.returncode, done.stdout) == (0, "1 session revoked.\n")


def test_a_token_revoked_through_standard_input_is_refused_on_the_next_request(
    service: RunningService,
) -> None:
    token, bystander = service.token(), service.token()

    done = service.scripts("tokens", "revoke", "--token-stdin", input=f"{token}\n")

    assert service.who_am_i(token).status_code == 401
    assert service.who_am_i(bystander).status_code == 200
    assert (done.returncode, done.stdout) == (0, "1 session revoked.\n")


def test_a_killed_worker_is_replaced(service: RunningService) -> None:
    victim, survivor = workers_of(service)

    os.kill(victim, signal.SIGKILL)

    assert wait_until(lambda: len(service.workers() - {victim, survivor}) == 1, seconds=3)
    (newcomer,) = service.workers() - {survivor}
    with paused(survivor):
        assert service.token()
    assert newcomer in service.workers()


def test_a_session_survives_a_restart_on_the_same_data_directory(new_directory: NewDirectory) -> None:
    data_dir = new_directory()
    with running_service(data_dir) as first:
        token = first.token()

    with running_service(data_dir) as second:
        answer = second.who_am_i(token)

    assert answer.status_code == 200


def test_ctrl_c_ends_the_service_soon_and_leaves_nothing(new_directory: NewDirectory) -> None:
    with running_service(new_directory(), WEB_CONCURRENCY="2") as service:
        assert len(service.processes()) == 5  # the parent, two workers, the guard and its server

        os.killpg(service.process.pid, signal.SIGINT)

        assert service.process.wait(timeout=2) == 0
        assert not service.processes()


def test_a_killed_parent_leaves_nothing_running(new_directory: NewDirectory) -> None:
    with running_service(new_directory(), WEB_CONCURRENCY="2") as service:
        assert len(service.processes()) == 5

        service.process.kill()
        service.process.wait()

        assert wait_until(lambda: not service.processes(), seconds=3)
        assert not service.answers()


def test_repeated_sigterm_lets_every_login_in_flight_finish(new_directory: NewDirectory) -> None:
    data_dir = new_directory()
    users = [(f"u{number}", f"{PASSWORD} {number}") for number in range(6)]
    with (
        running_service(data_dir, WEB_CONCURRENCY="2", BCRYPT_COST="12") as service,
        ThreadPoolExecutor(len(users)) as pool,
    ):
        for done in pool.map(lambda user: create(service, *user), users):
            assert done == 0
        logins = [pool.submit(service.log_in, *user) for user in users]
        assert wait_until(lambda: pending_logins(data_dir) == len(users), seconds=5)

        for _ in range(3):
            os.killpg(service.process.pid, signal.SIGTERM)

        assert [login.result().status_code for login in logins] == [200] * len(users)
        assert service.process.wait(timeout=10) == 0


def create(service: RunningService, user: str, password: str) -> int:
    return service.scripts("users", "create", user, "--password-stdin", input=password).returncode


def pending_logins(data_dir: Path) -> int:
    with Redis.from_url(embedded.redis_url(data_dir)) as redis:
        return sum(1 for _ in redis.scan_iter("bo:{lg}:p:*"))


def workers_of(service: RunningService) -> list[int]:
    """Give the ids of both workers, as soon as there are two."""
    assert wait_until(lambda: len(service.workers()) == 2, seconds=3)
    return sorted(service.workers())


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Keep one worker from taking connections, so that the other must."""
    os.kill(pid, signal.SIGSTOP)
    try:
        assert wait_until(lambda: state(pid) == "T", seconds=3)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def claim(token: str, name: str) -> str:
    payload = token.split(".")[1]
    return str(json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))[name])
