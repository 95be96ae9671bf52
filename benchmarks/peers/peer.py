"""Describe a peer: how it is installed and started, and how one signs in to it and out again."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Call:
    """A request that a peer's own endpoint understands."""

    path: str
    body: str = ""
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Kit:
    """What runs the peers of one language. Programs are looked for in the peer's folder, then on the PATH."""

    program: str
    lock: str
    install: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    folder: str
    kit: Kit
    command: tuple[str, ...]  # "{port}" stands for the port
    log_in: Call
    token: str  # the header, or the field of the body, that holds it
    log_out: Call
    looks_up: str  # what it asks on every request
    packages: tuple[str, ...]  # whose versions matter
    register: Call | None = None
    prepare: tuple[tuple[str, ...], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def sources(self) -> Path:
        return _HERE / self.folder

    @property
    def lock_file(self) -> Path:
        return self.sources / self.kit.lock


PYTHON = Kit(
    program=".venv/bin/python",
    lock="requirements.txt",
    install=(
        (sys.executable, "-m", "venv", "--clear", ".venv"),
        (
            ".venv/bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check",
            "--require-hashes", "--no-deps", "-r", "requirements.txt",
        ),
    ),
)  # fmt: skip
NODE = Kit(
    program="node",
    lock="package-lock.json",
    install=(("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"),),
    needs=("node", "npm"),
)
