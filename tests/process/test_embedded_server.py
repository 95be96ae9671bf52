"""The embedded server lives as long as its owner, and no longer, in whatever state either is."""

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from service import embedded
from service.embedded import EmbeddedError
from tests.process.running import ROOT
from tests.timing import wait_until


def test_a_server_that_is_still_starting_ends_with_its_owner(tmp_path: Path) -> None:
    embedded.prepare(tmp_path)
    started = tmp_path / "started"
    slow = program(tmp_path, f"touch {started}; exec sleep 60")
    guard = subprocess.Popen(
        [sys.executable, "-m", "service.embedded", str(tmp_path), str(slow)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        wait_until(started.exists, seconds=5)

        guard.communicate(timeout=2)

        assert guard.returncode == 0
    finally:
        if guard.poll() is None:
            os.killpg(guard.pid, signal.SIGKILL)
            guard.wait()


@pytest.mark.thorough
def test_a_second_service_on_a_data_directory_is_told_what_to_do(tmp_path: Path) -> None:
    embedded.prepare(tmp_path)

    with (tmp_path / "redis.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedError, match=r"^Another service .*: stop it, or set another DATA_DIR\.$"):
            embedded.server(tmp_path).__enter__()


def test_a_server_that_dies_is_started_again(tmp_path: Path) -> None:
    with embedded.server(tmp_path):
        first = process_of_the_server(tmp_path)

        os.kill(first, signal.SIGKILL)

        wait_until(lambda: process_of_the_server(tmp_path) not in {0, first}, seconds=5)


@pytest.mark.thorough
def test_who_comes_while_the_server_is_started_again_uses_it(tmp_path: Path) -> None:
    embedded.prepare(tmp_path)

    with (tmp_path / "redis.lock").open() as lock, socket.socket(socket.AF_UNIX) as other:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other.bind(str(tmp_path / "redis.sock"))
        threading.Timer(1, other.listen).start()
        with embedded.server(tmp_path):
            assert embedded.is_running(tmp_path)


def test_a_server_is_kept_by_whoever_is_left(tmp_path: Path) -> None:
    with contextlib.ExitStack() as command, contextlib.ExitStack() as service:
        command.enter_context(embedded.server(tmp_path))
        first = process_of_the_server(tmp_path)
        service.enter_context(embedded.server(tmp_path))

        command.close()

        wait_until(lambda: process_of_the_server(tmp_path) not in {0, first}, seconds=5)
    assert not embedded.is_running(tmp_path)


def process_of_the_server(data_dir: Path) -> int:
    """Ask the server for the number of its process; 0 if there is none."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(data_dir / "redis.sock"))
            client.sendall(b"INFO server\r\n")
            told = re.search(rb"process_id:([0-9]+)", client.recv(65536))
        except OSError:
            return 0
    return int(told[1]) if told else 0


def program(directory: Path, script: str) -> Path:
    """Write an executable that does no more than that."""
    path = directory / "server"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return path
