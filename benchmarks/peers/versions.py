"""Tell which versions of a peer's packages are installed."""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.peers.peer import NODE, Peer


def versions(peer: Peer, folder: Path) -> Mapping[str, str]:
    of: Callable[[Path, str], str] = _of_node if peer.kit is NODE else _of_python
    return {package: of(folder, package) for package in peer.packages}


def _of_node(folder: Path, package: str) -> str:
    version: str = json.loads((folder / "node_modules" / package / "package.json").read_text())["version"]
    return version


def _of_python(folder: Path, package: str) -> str:
    program = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    done = subprocess.run(
        [".venv/bin/python", "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
