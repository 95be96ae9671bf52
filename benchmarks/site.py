"""Open what one kind of measurement needs: stores, services on them, and the core where they run."""

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from benchmarks import processes, servers
from benchmarks.servers import Server
from service.settings import Settings

T = TypeVar("T")

_PLENTY = "999999/60"
# They are looked at and charged on every request, and refuse none.
LIMITS_SET_HIGH = {
    "LIMIT_LOGIN": _PLENTY,
    "LIMIT_LOGIN_ACCOUNT": _PLENTY,
    "LIMIT_LOGIN_NETWORK": _PLENTY,
    "LIMIT_SESSION": "999999/1+999999",
}


@dataclass(frozen=True, slots=True)
class Site:
    """Stores that are up, on the core of the load generator; services run on another."""

    env: dict[str, str]
    settings: Settings
    core: int

    @property
    def directory(self) -> Path:
        return Path(self.env["DATA_DIR"])

    def service(self, **changes: str) -> AbstractContextManager[Server]:
        """Run a service of its own settings on these stores."""
        env = self.env | {"PORT": str(servers.free_port())} | changes
        return servers.service(env, *processes.cores_for(int(env["WEB_CONCURRENCY"])))

    def empty_handler(self) -> AbstractContextManager[Server]:
        return servers.yardstick(self.env, self.core, "empty_handler")

    def bare_login(self) -> AbstractContextManager[Server]:
        return servers.yardstick(self.env, self.core, "bare_login")


@contextmanager
def opened(**changes: str) -> Iterator[Site]:
    """Start the stores, embedded ones unless the changes name others, and stop them at the end."""
    load_core, server_core = processes.cores()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        env = servers.service_env(Path(directory)) | changes
        # The embedded Redis is started from here, and so stays off the servers' core.
        with processes.pinned(load_core), servers.embedded_stores(env) as settings:
            yield Site(env, settings, server_core)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run the load generator's side."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
