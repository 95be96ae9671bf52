"""Start the servers under measurement, and stop them."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.failure import BenchmarkFailure
from service import wiring
from service.settings import Settings

AUTH = "/v1/backoffice/auth"

_ROOT = Path(__file__).parents[1]
_PATIENCE_SECONDS = 15.0
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Server:
    """Something that answers on a port of this machine, and the processes whose CPU time that costs."""

    port: int
    pids: tuple[int, ...]

    def cpu_seconds(self) -> float:
        return sum(processes.cpu_seconds(pid) for pid in self.pids)


def service_env(data_dir: Path) -> dict[str, str]:
    """Give the environment of the service: what ships, all stores embedded, hashes of the test cost."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {
        "APP_ENV": "test",
        "BCRYPT_COST": "4",
        "DATA_DIR": str(data_dir),
        "PORT": str(free_port()),
        "WEB_CONCURRENCY": "1",
        "ACCESS_LOG": "0",  # whoever wants that line pays for it; all else that production does is on
        "FORCE_HTTPS": "1",  # only another header, but production sends it
        # A machine that stands still for a moment must not look like an outage.
        "REDIS_TIMEOUT": "5s",
        "DATABASE_TIMEOUT": "5s",
    }


@contextmanager
def embedded_stores(env: Mapping[str, str]) -> Iterator[Settings]:
    """Keep the stores of the service up, on the core of the caller, with their tables.

    Where both are embedded, the demo user is in them.
    """
    # Long time-outs: thousands of sessions are written at once.
    settings = Settings.from_env({**env, "REDIS_TIMEOUT": "10s", "DATABASE_TIMEOUT": "30s"})
    with wiring.embedded_parts(settings):
        run_script(env, "migrate")
        if settings.demo_allowed:
            run_script(env, "demo")
        yield settings


@contextmanager
def service(env: Mapping[str, str], *cores: int) -> Iterator[Server]:
    """Run the service, whole, on the stores that are up already."""
    port = int(env["PORT"])
    log = Path(env["DATA_DIR"]) / "service.log"
    with started([sys.executable, "-m", "service"], env, cores, log) as process:
        _wait_until_up(process, port, "/health/live", log)
        yield Server(port, processes.children(process.pid))


@contextmanager
def yardstick(env: Mapping[str, str], core: int, module: str) -> Iterator[Server]:
    """Run a yardstick, answering on the path of the service."""
    port = free_port()
    log = Path(env["DATA_DIR"]) / f"{module}.log"
    command = [sys.executable, "-m", f"benchmarks.{module}", str(port), AUTH]
    with started(command, env, (core,), log) as process:
        _wait_until_up(process, port, AUTH, log)
        yield Server(port, (process.pid,))


def run_script(env: Mapping[str, str], *arguments: str) -> None:
    """Run a command of the operator's; raise BenchmarkFailure if it fails."""
    prepare([sys.executable, "-m", "scripts", *arguments], env)


def prepare(command: Sequence[str], env: Mapping[str, str], folder: Path = _ROOT) -> None:
    """Run what has to be done before a server starts; raise BenchmarkFailure if it fails."""
    done = subprocess.run(
        command, env=dict(env), cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode != 0:
        raise BenchmarkFailure(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


@contextmanager
def started(
    command: Sequence[str], env: Mapping[str, str], cores: Sequence[int], log: Path, folder: Path = _ROOT
) -> Iterator["subprocess.Popen[bytes]"]:
    """Keep a server running on these cores for the length of the block."""
    with log.open("ab") as output, processes.pinned(*cores):
        # A session of its own: Ctrl-C is for the benchmark, which then ends its servers in order.
        process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int, path: str, log: Path) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if _answers(port, path):
            return
        time.sleep(_PAUSE_SECONDS)
    raise BenchmarkFailure(f"A server did not start:\n{log.read_text()}")


def _answers(port: int, path: str) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    try:
        client.request("GET", path)
        return client.getresponse().status == 200
    except OSError:
        return False
    finally:
        client.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
