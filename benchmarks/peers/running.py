"""Run a peer, and stop it."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks import processes
from benchmarks.failure import BenchmarkFailure
from benchmarks.peers import account
from benchmarks.peers.peer import Peer
from benchmarks.servers import Server, free_port, prepare, started

_PATIENCE_SECONDS = 15.0
_PAUSE_SECONDS = 0.05


@contextmanager
def running(peer: Peer, folder: Path, below: Path, redis_url: str, core: int) -> Iterator[Server]:
    """Run an installed peer on one core, with a database of its own somewhere below a directory."""
    data_dir = Path(tempfile.mkdtemp(prefix=f"{peer.folder}-", dir=below))
    port, log = free_port(), data_dir / "log"
    env = _environment(peer, data_dir, redis_url, port)
    for arguments in peer.prepare:
        prepare([peer.kit.program, *arguments], env, folder)
    command = [peer.kit.program, *(part.format(port=port) for part in peer.command)]
    with started(command, env, (core,), log, folder) as process:
        _wait_until_up(process, port, log)
        yield Server(port, (process.pid, *processes.children(process.pid)))


def _environment(peer: Peer, data_dir: Path, redis_url: str, port: int) -> Mapping[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    given = {"PORT": str(port), "DATA_DIR": str(data_dir), "REDIS_URL": redis_url, "NODE_ENV": "production"}
    return {**kept, **given, **account.ENVIRONMENT, **peer.env}


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(_PAUSE_SECONDS)
    raise BenchmarkFailure(f"A peer did not start:\n{log.read_text()}")
