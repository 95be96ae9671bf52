"""Install a peer into a folder of its own, from its lock file; a second time there is nothing to do."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.failure import BenchmarkFailure
from benchmarks.peers.peer import Peer

_CACHE = Path(__file__).parents[2] / ".bench"
_STAMP = "installed"
_PATIENCE_SECONDS = 600


class Missing(Exception):
    """The machine lacks what a peer needs; the text says what."""


def installed(peer: Peer) -> Path:
    """Return the folder that holds the peer's files and everything they import."""
    for tool in peer.kit.needs:
        if shutil.which(tool) is None:
            raise Missing(f"{tool} is not installed")
    folder = _CACHE / peer.folder
    shutil.copytree(peer.sources, folder, dirs_exist_ok=True)
    stamp, wanted = folder / _STAMP, _what_is_wanted(peer.lock_file)
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"Installing {peer.name} ...", flush=True)
        stamp.unlink(missing_ok=True)
        for command in peer.kit.install:
            _run(command, folder)
        stamp.write_text(wanted)
    return folder


def _what_is_wanted(lock: Path) -> str:
    return f"{sys.version}\n{hashlib.sha256(lock.read_bytes()).hexdigest()}\n"


def _run(command: tuple[str, ...], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
    )
    if done.returncode != 0:
        raise BenchmarkFailure(f"{folder.name} could not be installed:\n{done.stdout}{done.stderr}")
