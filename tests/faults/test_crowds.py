"""Connections that sit idle or send a byte now and then keep nobody else from signing in."""

import json
import select
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.backoffice import AUTH
from tests.process.running import (
    SERVICE,
    RunningService,
    clean_env,
    free_port,
    needs_proc,
    run_module,
    running,
    running_service,
)
from tests.timing import assert_within

pytestmark = [needs_proc, pytest.mark.slow]

NO_LIMITS = {"LIMIT_LOGIN": "0", "LIMIT_LOGIN_ACCOUNT": "0", "LIMIT_LOGIN_NETWORK": "0", "LIMIT_NETWORK": "0"}
# A hash takes its time, as in production.
IN_EARNEST = {"WEB_CONCURRENCY": "1", "BCRYPT_COST": "12", **NO_LIMITS}
HALF_A_REQUEST = f"POST {AUTH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n".encode()
REQUEST_SECONDS = 10
TURNS, LOGINS = 6, 3
# What a login may seem to take longer, for want of an exact clock.
NO_LONGER = 1.3
FEW_FILES = 128


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("crowd"), **IN_EARNEST) as running:
        running.token()
        yield running


def test_with_two_hundred_idle_connections_a_login_takes_no_longer(service: RunningService) -> None:
    calm, crowded = login_seconds_without_and_with(service, lambda: connections(service, 200))

    assert_within(NO_LONGER * calm, crowded, f"with nobody else there it takes {calm:.3f} s")


def test_with_five_hundred_dripping_connections_a_login_takes_no_longer(service: RunningService) -> None:
    calm, crowded = login_seconds_without_and_with(service, lambda: dripping_connections(service, 500))

    assert_within(NO_LONGER * calm, crowded, f"with nobody else there it takes {calm:.3f} s")


def test_every_dripping_connection_gets_408_in_time(service: RunningService) -> None:
    with dripping_connections(service, 500) as (sockets, dripped):
        # From the first byte: to connect may take seconds where the queue of the socket is short.
        begun = time.monotonic()
        dripped.join(REQUEST_SECONDS + 15)
        took = time.monotonic() - begun

        answers = Counter(read_all(connection) for connection in sockets)

    assert answers == {(408, "Request Timeout."): 500}
    assert took > REQUEST_SECONDS - 1
    assert_within(REQUEST_SECONDS + 5, took)


def test_when_connections_run_out_those_that_wait_the_longest_give_way(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with service_of_few_files(tmp_path_factory.mktemp("few"), FEW_FILES) as service:
        with connections(service, 300) as sockets:
            statuses = {service.log_in().status_code for _ in range(20)}
            ended = [bool(select.select([connection], [], [], 0)[0]) for connection in sockets]

        assert statuses == {200}
        assert ended[0]
        assert not ended[-1]
        assert 300 - FEW_FILES <= sum(ended) < 300
        assert "Too many open files" not in service.log()


@contextmanager
def service_of_few_files(data_dir: Path, files: int) -> Iterator[RunningService]:
    env = clean_env(data_dir, PORT=str(free_port()), WEB_CONCURRENCY="1", **NO_LIMITS)
    for command in ("migrate", "demo"):
        run_module("scripts", command, env=env).check_returncode()
    program = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *SERVICE]
    with running(program, data_dir, env) as service:
        yield service


@contextmanager
def connections(service: RunningService, count: int) -> Iterator[list[socket.socket]]:
    port = int(service.env["PORT"])
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            for _ in range(count)
        ]


@contextmanager
def dripping_connections(
    service: RunningService, count: int
) -> Iterator[tuple[list[socket.socket], threading.Thread]]:
    """Send the beginning of a request on each, and then a byte twice a second until it is answered."""
    over = threading.Event()
    with connections(service, count) as sockets:
        thread = threading.Thread(target=drip, args=(sockets, over), daemon=True)
        for connection in sockets:
            connection.sendall(HALF_A_REQUEST)
        thread.start()
        try:
            yield sockets, thread
        finally:
            over.set()
            thread.join()


def drip(sockets: list[socket.socket], over: threading.Event) -> None:
    unanswered = list(sockets)
    while unanswered and not over.wait(0.5):
        poll = select.poll()
        for connection in unanswered:
            poll.register(connection, select.POLLIN)
        answered = {descriptor for descriptor, _ in poll.poll(0)}
        unanswered = [connection for connection in unanswered if connection.fileno() not in answered]
        for connection in unanswered:
            with suppress(OSError):
                connection.sendall(b"x")


def read_all(connection: socket.socket) -> tuple[int, str]:
    """Read an answer up to the end of the connection; return its status and its message."""
    answer = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(4096):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), str(json.loads(body)["message"])


def login_seconds_without_and_with(
    service: RunningService, crowd: Callable[[], AbstractContextManager[object]]
) -> tuple[float, float]:
    """Give the median time of a login with nobody else there and in the crowd: the best of some, in turns."""
    calm, crowded = [], []
    for _ in range(TURNS):
        calm.append(login_seconds(service))
        with crowd():
            crowded.append(login_seconds(service))
    return min(calm), min(crowded)


def login_seconds(service: RunningService) -> float:
    """Give the median time of a login, each on a connection of its own."""
    return statistics.median(one_login(service) for _ in range(LOGINS))


def one_login(service: RunningService) -> float:
    begun = time.monotonic()
    service.token()
    return time.monotonic() - begun
