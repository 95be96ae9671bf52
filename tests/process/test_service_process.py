"""Several workers are one service, and nothing of it outlives its end."""

import fcntl
import json
import os
import re
import signal
import socket
import struct
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from redis import Redis

from service import embedded
from tests.backoffice import PASSWORD
from tests.process.running import (
    SERVICE,
    RunningService,
    clean_env,
    free_port,
    needs_proc,
    running_service,
    starting,
)
from tests.timing import time_limit, wait_until

pytestmark = needs_proc

RECEIPT = re.compile(
    r"1 session of 1 user revoked; effective everywhere \([0-9]\.[0-9] s, confirmed by Redis\)\.\n"
)

GRACE_SECONDS = 1
NewDirectory = Callable[[], Path]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    env = {"WEB_CONCURRENCY": "2", "LIMIT_LOGIN": "0", "LIMIT_NETWORK": "0"}
    with running_service(tmp_path_factory.mktemp("shared"), **env) as running:
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
    assert done.returncode == 0
    assert RECEIPT.fullmatch(done.stdout), done.stdout


def test_a_token_revoked_through_standard_input_is_refused_on_the_next_request(
    service: RunningService,
) -> None:
    token, bystander = service.token(), service.token()

    done = service.scripts("tokens", "revoke", "--token-stdin", input=f"{token}\n")

    assert service.who_am_i(token).status_code == 401
    assert service.who_am_i(bystander).status_code == 200
    assert done.returncode == 0
    assert RECEIPT.fullmatch(done.stdout), done.stdout


def test_a_killed_worker_is_replaced(service: RunningService) -> None:
    victim, survivor = workers_of(service)

    os.kill(victim, signal.SIGKILL)

    wait_until(lambda: len(service.workers() - {victim, survivor}) == 1, seconds=3)
    (newcomer,) = service.workers() - {survivor}
    with paused(survivor):
        assert service.token()
    assert newcomer in service.workers()


def test_either_worker_tells_the_sum_of_both_and_a_killed_one_is_still_in_it(service: RunningService) -> None:
    before = logins_in_metrics(service)
    one, other = workers_of(service)
    for paused_one in (one, other):
        with paused(paused_one):
            service.token()

    with paused(one):
        told_by_the_other = logins_in_metrics(service)
    with paused(other):
        told_by_the_one = logins_in_metrics(service)
    os.kill(one, signal.SIGKILL)
    wait_until(lambda: len(service.workers() - {one, other}) == 1, seconds=3)
    with paused(other):
        told_by_the_newcomer = logins_in_metrics(service)

    assert {told_by_the_one, told_by_the_other, told_by_the_newcomer} == {before + 2}


def test_ctrl_c_ends_the_service_soon_and_leaves_nothing(new_directory: NewDirectory) -> None:
    with running_service(new_directory(), WEB_CONCURRENCY="2") as service:
        assert len(service.processes()) == 5  # the parent, two workers, the guard and its server

        os.killpg(service.process.pid, signal.SIGINT)

        assert service.exit_code_within(2) == 0
        assert not service.processes()


def test_a_killed_parent_leaves_nothing_running(new_directory: NewDirectory) -> None:
    with running_service(new_directory(), WEB_CONCURRENCY="2") as service:
        assert len(service.processes()) == 5

        service.process.kill()
        service.process.wait()

        wait_until(lambda: not service.processes(), seconds=3)
        assert not service.answers()


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8])
def test_a_sigterm_at_any_moment_of_the_boot_ends_it_at_once(
    new_directory: NewDirectory, delay: float
) -> None:
    with booting_service(new_directory()) as service:
        time.sleep(delay)

        service.process.terminate()

        service.exit_code_within(1)
        with time_limit(1):
            wait_until(lambda: not service.processes(), seconds=10)


def test_ctrl_c_while_the_embedded_server_is_waited_for_ends_the_boot_without_a_traceback(
    new_directory: NewDirectory,
) -> None:
    data_dir = new_directory()
    with (data_dir / "redis.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with booting_service(data_dir) as service:
            wait_until(lambda: len(service.processes()) == 2, seconds=3)  # the parent, the guard

            os.killpg(service.process.pid, signal.SIGINT)

            assert service.exit_code_within(1) == -signal.SIGINT
            with time_limit(1):
                wait_until(lambda: not service.processes(), seconds=10)
            assert not service.log()


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
        wait_until(lambda: pending_logins(data_dir) == len(users), seconds=5)

        for _ in range(3):
            os.killpg(service.process.pid, signal.SIGTERM)

        assert [login.result().status_code for login in logins] == [200] * len(users)
        assert service.exit_code_within(10) == 0


@pytest.mark.thorough
def test_a_worker_that_does_not_finish_is_killed_at_the_end_of_the_grace(new_directory: NewDirectory) -> None:
    with running_service(new_directory(), WEB_CONCURRENCY="2", SHUTDOWN_GRACE=f"{GRACE_SECONDS}s") as service:
        stuck, _ = workers_of(service)
        os.kill(stuck, signal.SIGSTOP)
        wait_until(lambda: state(stuck) == "T", seconds=3)
        begun = time.monotonic()

        service.process.terminate()

        assert service.exit_code_within(GRACE_SECONDS + 1) == 0
        assert time.monotonic() - begun >= GRACE_SECONDS
        wait_until(lambda: not service.processes(), seconds=1)


@pytest.mark.thorough
def test_a_worker_that_ends_is_not_ready_from_the_first_moment(new_directory: NewDirectory) -> None:
    with running_service(new_directory(), WEB_CONCURRENCY="1") as service, ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(trust_env=False)) for _ in range(50)]
        ready = f"{service.url}/health/ready"
        before = {client.get(ready).status_code for client in clients}

        service.process.terminate()

        assert (before, first_parting_answer(clients, ready)) == ({200}, 503)


def first_parting_answer(clients: Sequence[httpx.Client], url: str) -> int:
    """Ask on one open connection after the other; give the first status that is said to be its last."""
    for client in clients:
        answer = client.get(url)
        if answer.headers.get("connection") == "close":
            return answer.status_code
        time.sleep(0.005)
    pytest.fail("no connection was to be closed")


def logins_in_metrics(service: RunningService) -> int:
    text = service.http.get(f"{service.url}/metrics").text
    (line,) = [line for line in text.splitlines() if line.startswith('backoffice_logins_total{outcome="ok"}')]
    return int(line.rpartition(" ")[2])


@contextmanager
def booting_service(data_dir: Path) -> Iterator[RunningService]:
    env = clean_env(data_dir, PORT=str(free_port()), WEB_CONCURRENCY="2")
    with starting(SERVICE, data_dir, env) as service:
        yield service


def create(service: RunningService, user: str, password: str) -> int:
    return service.scripts("users", "create", user, "--password-stdin", input=password).returncode


def test_a_connection_that_is_reset_before_it_is_accepted_is_neither_a_request_nor_an_error(
    service: RunningService,
) -> None:
    said = len(service.log())

    with ExitStack() as all_paused:
        for worker in workers_of(service):
            all_paused.enter_context(paused(worker))
        for request in (b"GET /health", b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\r\n\r\n") * 4:
            reset(service, request)

    wait_until(service.answers, 5)
    log = service.log()[said:]
    assert "Traceback" not in log
    assert "status=500" not in log


def pending_logins(data_dir: Path) -> int:
    with Redis.from_url(embedded.redis_url(data_dir)) as redis:
        return sum(1 for _ in redis.scan_iter("bo:{lg}:p:*"))


def workers_of(service: RunningService) -> list[int]:
    """Give the ids of both workers, as soon as there are two."""
    wait_until(lambda: len(service.workers()) == 2, seconds=3)
    return sorted(service.workers())


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Keep one worker from taking connections, so that the other must."""
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: state(pid) == "T", seconds=3)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def reset(service: RunningService, request: bytes) -> None:
    """Connect, send and reset."""
    with socket.create_connection(("127.0.0.1", urlsplit(service.url).port or 0)) as connection:
        connection.sendall(request)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def claim(token: str, name: str) -> str:
    payload = token.split(".")[1]
    return str(json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))[name])
