"""Fixtures that every kind of test shares."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.settings import Settings
from service.wiring import UseCases
from tests import sanic_server, stores_in_use
from tests.backoffice import PASSWORD, Backoffice
from tests.stores_in_use import Stores

sanic_server.install()


def pytest_report_header() -> str:
    return stores_in_use.describe()


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
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def settings(stores: Stores, tmp_path: Path) -> Settings:
    """Settings over empty stores, with a hash that costs a millisecond."""
    stores.forget_redis()
    given = Settings.from_env({"APP_ENV": "test", "BCRYPT_COST": "4", "DATA_DIR": str(stores.directory)})
    return replace(given, database_url=stores.database_for_a_test(tmp_path), redis_url=stores.redis_url)


@pytest.fixture
def start(sanic_client: Any, settings: Settings, clock: FakeClock) -> "Start":
    """Start the service on a real socket, with the settings changed as a test wants them."""

    async def start_with(**changes: Any) -> Running:
        return Running(await sanic_client(create_app(replace(settings, **changes), clock)))

    return start_with


class Running:
    """A service that runs on the test's own loop."""

    def __init__(self, client: Any) -> None:
        self.client = Backoffice(client.session, f"http://{client.host}:{client.port}")
        self.use_cases: UseCases = client.app.ctx.use_cases


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
def service(loop: asyncio.AbstractEventLoop, start: Start) -> Running:
    """The service as most tests want it: one user, causas, whose password is PASSWORD."""
    running: Running = loop.run_until_complete(start())
    loop.run_until_complete(running.use_cases.manage_users.create("causas", "Causas", PASSWORD, by="test"))
    return running


@pytest.fixture
def client(service: Running) -> Backoffice:
    return service.client
