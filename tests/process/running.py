"""Run the service as an operator does: as processes, with an environment of their own."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import httpx
import pytest

from tests import stores_in_use
from tests.backoffice import AUTH
from tests.timing import happens, time_limit, wait_until

ROOT = Path(__file__).parents[2]
DEMO_PASSWORD = "causas123"
SERVICE = [sys.executable, "-m", "service"]

# A machine that stands still for a moment must not look like an outage.
PATIENT = {"REDIS_TIMEOUT": "5s", "DATABASE_TIMEOUT": "5s"}
_PATIENCE_SECONDS = 30.0
_END_SECONDS = 30.0
_LAST_ONE_SECONDS = 3.0
_PROC = Path("/proc")
# Below those that systems give to outgoing connections.
_LISTENING_PORTS = range(20_000, 32_000)

needs_proc = pytest.mark.skipif(
    not (_PROC / "self/task").exists(), reason="the processes of a service are looked up in /proc"
)


def missing(what: str) -> NoReturn:
    """Skip the test with a plain word; on CI, where nothing may be missing, fail."""
    message = f"{what} here"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def need_postgres() -> str:
    """Return the URL of a PostgreSQL server that answers."""
    named = stores_in_use.wanted()[0] or ""
    url = named if named.startswith("postgres") else stores_in_use.LOCAL_POSTGRES
    if not stores_in_use.answers(url):
        missing("no PostgreSQL answers")
    return url


def clean_env(data_dir: Path, **env: str) -> dict[str, str]:
    """Give an environment in which nothing counts but what is named here."""
    kept = {"PATH", "HOME", *(name for name in os.environ if name.startswith("COVERAGE_"))}
    inherited = {name: value for name, value in os.environ.items() if name in kept}
    return inherited | PATIENT | {"APP_ENV": "test", "BCRYPT_COST": "4", "DATA_DIR": str(data_dir)} | env


def run_module(
    module: str, *args: str, env: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module` to its end."""
    return run([sys.executable, "-m", module, *args], env, stdin)


def run(
    program: list[str], env: Mapping[str, str], stdin: str = "", *, seconds: float = 30
) -> subprocess.CompletedProcess[str]:
    """Run a program in the project's directory to its end."""
    return subprocess.run(
        program, env=env, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
    )


def free_port() -> int:
    """Return a port to listen on that neither a neighbour nor an outgoing connection takes meanwhile."""
    while True:
        port = random.choice(_LISTENING_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _fresh_connections() -> httpx.Client:
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(limits=limits, trust_env=False, timeout=15)


@dataclass(frozen=True)
class RunningService:
    """A service that runs: its address, the process that was started, what was set for it."""

    url: str
    process: "subprocess.Popen[bytes]"
    env: Mapping[str, str]
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

    def log(self) -> str:
        """Give all that was printed."""
        return _log(self.data_dir).read_text()

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

    def exit_code_within(self, seconds: float) -> int:
        """Wait for the end of the process that was started, and return its exit code."""
        with time_limit(seconds):
            return self.process.wait(_END_SECONDS)

    def processes(self) -> set[int]:
        """Give the ids of all processes that have to do with the data directory, ended ones excepted."""
        return _processes_of(self.data_dir)


@contextmanager
def running_service(data_dir: Path, **env: str) -> Iterator[RunningService]:
    """Migrate, make the demo user, and keep the service running for the length of the block."""
    whole_env = clean_env(data_dir, PORT=str(free_port())) | env
    with _leaving_nothing(data_dir):
        for command in ("migrate", "demo"):
            run_module("scripts", command, env=whole_env).check_returncode()
        with running(SERVICE, data_dir, whole_env) as service:
            yield service


@contextmanager
def running(program: list[str], data_dir: Path, env: Mapping[str, str]) -> Iterator[RunningService]:
    """Run a program that serves, for the length of the block."""
    with starting(program, data_dir, env) as service:
        wait_until_up(service, _PATIENCE_SECONDS)
        yield service


def wait_until_up(service: RunningService, seconds: float) -> None:
    """Wait until the service answers; fail at once if it ends instead."""
    wait_until(lambda: service.answers() or service.process.poll() is not None, seconds, service.log)
    assert service.process.poll() is None, service.log()


@contextmanager
def starting(program: list[str], data_dir: Path, env: Mapping[str, str]) -> Iterator[RunningService]:
    """Start a program that serves, and end it after the block; whatever it leaves behind is a failure."""
    with _log(data_dir).open("ab") as output:
        # A session of its own: signals to its process group are for it alone.
        process = subprocess.Popen(
            program,
            env=env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    service = RunningService(f"http://localhost:{env['PORT']}", process, env, data_dir)
    with _leaving_nothing(data_dir), service.http:
        try:
            yield service
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@contextmanager
def _leaving_nothing(data_dir: Path) -> Iterator[None]:
    """Kill by id what still belongs to the data directory a moment after the block; fail if there was any."""
    try:
        yield
    finally:
        happens(lambda: not _processes_of(data_dir), _LAST_ONE_SECONDS)
        left = {pid: _read(pid, "cmdline").replace(b"\0", b" ") for pid in _processes_of(data_dir)}
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert not left, f"left running: {left}"


def _processes_of(data_dir: Path) -> set[int]:
    pids = (int(entry.name) for entry in _PROC.glob("[0-9]*"))
    return {pid for pid in pids if _belongs(pid, data_dir)}


def _belongs(pid: int, data_dir: Path) -> bool:
    mark = os.fsencode(data_dir)
    try:
        at_work_there = (_PROC / f"{pid}/cwd").readlink().is_relative_to(data_dir)
    except OSError:
        at_work_there = False
    environ = _read(pid, "environ").split(b"\0")
    named = mark in _read(pid, "cmdline").split(b"\0")
    return at_work_there or named or b"DATA_DIR=" + mark in environ


def _log(data_dir: Path) -> Path:
    return data_dir / "service.log"


def _read(pid: int, file: str) -> bytes:
    try:
        return (_PROC / str(pid) / file).read_bytes()
    except OSError:
        return b""
