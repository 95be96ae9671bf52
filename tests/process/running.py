"""Run the service as an operator does: as processes, with an environment of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx
import pytest

from tests.backoffice import AUTH

ROOT = Path(__file__).parents[2]
DEMO_PASSWORD = "causas123"

_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.02
_END_SECONDS = 30.0
_PROC = Path("/proc")

needs_proc = pytest.mark.skipif(
    not (_PROC / "self/task").exists(), reason="the processes of a service are looked up in /proc"
)


def clean_env(data_dir: Path, **env: str) -> dict[str, str]:
    """Give an environment in which nothing counts but what is named here."""
    kept = {"PATH", "HOME", *(name for name in os.environ if name.startswith("COVERAGE_"))}
    inherited = {name: value for name, value in os.environ.items() if name in kept}
    return inherited | {"APP_ENV": "test", "BCRYPT_COST": "4", "DATA_DIR": str(data_dir)} | env


def run_module(
    module: str, *args: str, env: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module` to its end."""
    return subprocess.run(
        [sys.executable, "-m", module, *args],
        env=env,
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until the condition holds; return whether it did in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(_PAUSE_SECONDS)
    return condition()


def _fresh_connections() -> httpx.Client:
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(limits=limits, trust_env=False, timeout=15)


@dataclass(frozen=True)
class RunningService:
    """A service that runs: its address, its parent process, what was set for it."""

    url: str
    process: "subprocess.Popen[bytes]"
    env: dict[str, str]
    data_dir: Path
    http: httpx.Client = field(default_factory=_fresh_connections)

    def scripts(self, *args: str, input: str = "") -> subprocess.CompletedProcess[str]:  # noqa: A002
        """Run one of the operator's commands on the stores of this service."""
        return run_module("scripts", *args, env=self.env, stdin=input)

    def log_in(self, user: str = "causas", password: str = DEMO_PASSWORD) -> httpx.Response:
        return self.http.post(self.url + AUTH, json={"user": user, "password": password})

    def token(self, user: str = "causas", password: str = DEMO_PASSWORD) -> str:
        answer = self.log_in(user, password)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    def who_am_i(self, token: str) -> httpx.Response:
        return self.http.get(self.url + AUTH, headers={"Authorization": f"Bearer {token}"})

    def log_out(self, token: str) -> httpx.Response:
        return self.http.delete(self.url + AUTH, headers={"Authorization": f"Bearer {token}"})

    def answers(self) -> bool:
        try:
            return self.http.get(f"{self.url}/health/live").status_code == 200
        except httpx.TransportError:
            return False

    def workers(self) -> set[int]:
        """Give the ids of the worker processes."""
        parent = self.process.pid
        children = (_PROC / f"{parent}/task/{parent}/children").read_text().split()
        return {int(pid) for pid in children if b"service.embedded" not in _read(int(pid), "cmdline")}

    def processes(self) -> set[int]:
        """Give the ids of all processes that have to do with the data directory, ended ones excepted."""
        pids = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
        return {pid for pid in pids if self._owns(pid)}

    def _owns(self, pid: int) -> bool:
        mark = os.fsencode(self.data_dir)
        try:
            at_work_there = (_PROC / f"{pid}/cwd").readlink().is_relative_to(self.data_dir)
        except OSError:
            at_work_there = False
        environ = _read(pid, "environ").split(b"\0")
        named = mark in _read(pid, "cmdline").split(b"\0")
        return at_work_there or named or b"DATA_DIR=" + mark in environ


@contextmanager
def running_service(data_dir: Path, **env: str) -> Iterator[RunningService]:
    """Migrate, make the demo user, and keep the service running for the length of the block."""
    port = free_port()
    whole_env = clean_env(data_dir, PORT=str(port)) | env
    for command in ("migrate", "demo"):
        run_module("scripts", command, env=whole_env).check_returncode()
    log = data_dir / "service.log"
    with log.open("ab") as output, _started(whole_env, output) as process:
        service = RunningService(f"http://localhost:{port}", process, whole_env, data_dir)
        with service.http:
            up = wait_until(lambda: service.answers() or process.poll() is not None, _PATIENCE_SECONDS)
            assert up, log.read_text()
            assert process.poll() is None, log.read_text()
            yield service


@contextmanager
def _started(env: Mapping[str, str], output: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    # A session of its own: signals to its process group are for it alone.
    with subprocess.Popen(
        [sys.executable, "-m", "service"],
        env=env,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _read(pid: int, file: str) -> bytes:
    try:
        return (_PROC / str(pid) / file).read_bytes()
    except OSError:
        return b""
