"""Fixtures that every kind of test shares."""

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service import embedded
from service.app import create_app
from service.settings import Settings
from service.use_cases.choose_sessions import Selection
from service.wiring import UseCases
from tests import sanic_server, stores_in_use
from tests.backoffice import PASSWORD, Backoffice
from tests.stores_in_use import Stores

sanic_server.install()
# What is ignored is inherited: under nohup the services that tests start would not hear of SIGHUP, and behind
# the `&` of a script neither they nor the commands of SIGINT.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # Not in the header, which nobody sees where the output is short.
    terminalreporter.write_line(stores_in_use.describe())


def need(program: str) -> str:
    """Return the path of a program, or skip the test with a plain word; on CI, where it must be, fail."""
    path = shutil.which(program)
    if path is None:
        message = f"{program} is not installed here"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return str(path)


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with stores_in_use.opened(tmp_path_factory.mktemp("stores")) as opened:
        yield opened


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a server for one test alone, and give its URL."""
    directory = tmp_path_factory.mktemp("own")
    with embedded.server(directory):
        yield embedded.redis_url(directory)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def settings(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> Settings:
    """Settings over empty stores, with a hash that costs a millisecond."""
    stores.forget_redis()
    # Patient with the stores: a machine that is busy with other things must not look like an outage.
    env = {"REDIS_TIMEOUT": "2s", "DATABASE_TIMEOUT": "5s", "LIMIT_NETWORK": "0"}
    # To describe the routes takes longer than most tests.
    documented = request.node.get_closest_marker("documented") is not None
    cheap = {"APP_ENV": "test", "BCRYPT_COST": "4", "DOCS": "1" if documented else "0"}
    given = Settings.from_env(env | cheap | {"DATA_DIR": str(stores.directory)})
    return replace(given, database_url=stores.database_for_a_test(tmp_path), redis_url=stores.redis_url)


@pytest.fixture
def start(sanic_client: Any, settings: Settings, clock: FakeClock) -> "Start":
    """Start the service on a real socket, with the settings changed as a test wants them."""

    started: list[Any] = []

    async def start_with(**changes: Any) -> Running:
        # One after the other: Tortoise has one connection for all of a process, and would lose one of two.
        while started:
            await started.pop().close()
        app = create_app(replace(settings, **changes), clock)
        # It speaks plain HTTP: to read the certificates of authorities takes as long as many a test.
        started.append(await sanic_client(app, verify=False))
        return Running(started[0])

    return start_with


class Running:
    """A service that runs on the test's own loop."""

    def __init__(self, client: Any) -> None:
        self.client = Backoffice(client.session, f"http://{client.host}:{client.port}")
        self.use_cases: UseCases = client.app.ctx.use_cases

    async def revoke(self, user: str) -> int:
        """End all sessions of a user, as an operator does; return how many were alive."""
        chosen = Selection(user_ids=frozenset([(await self.use_cases.find_user(user)).id]))
        return (await self.use_cases.revoke(chosen, by="test")).sessions


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
def service(loop: asyncio.AbstractEventLoop, start: Start) -> Running:
    """The service as most tests want it: one user, causas, whose password is PASSWORD."""
    running: Running = loop.run_until_complete(start())
    loop.run_until_complete(running.use_cases.create_user("causas", "Causas", PASSWORD, by="test"))
    return running


@pytest.fixture
def client(service: Running) -> Backoffice:
    return service.client
