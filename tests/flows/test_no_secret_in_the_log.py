"""Whatever happens, and however much is logged: no password, no token, no key, no whole id of a session."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.settings import Settings
from service.telemetry import logs
from service.wiring import open_use_cases
from tests.backoffice import AUTH, PASSWORD, claims_of
from tests.conftest import FakeClock, Running, Start
from tests.stores.fake_server import server_that_repeats

WRONG, NEW = "hunter2 hunter2 hunter2", "a different horse altogether"
CLIENT_SECRET, CALLERS = "the-secret-of-a-client-" * 2, "secret-of-a-gateways-caller"
KEY, COLLECTOR = "k" * 24 + "0123456789abcdef" * 2, "the token of the collector"


# What is broken, and a line that shows that it was met.
HEARD = {
    "nothing": "password_changed",
    "redis away": "redis_lost",
    "redis confused": "login_limits_local",
    "tables": "server_error",
    "database": "unavailable",
}


class Everything(logging.Handler):
    """Keeps all that a formatter could make of the records: messages, arguments, fields, tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += "\n".join(
            [logs._Json().format(record), logs._Plain().format(record), repr(vars(record))]
        )
        if record.exc_info and record.exc_info[1] is not None:
            self.text += repr(record.exc_info[1]) + repr(record.exc_info[1].__cause__)


@pytest.fixture
def logged(settings: Settings) -> Iterator[Callable[[], str]]:
    """What is logged where the service configures logging itself, at LOG_LEVEL=DEBUG."""
    root = logging.getLogger()
    before, level, everything = root.handlers[:], root.level, Everything()
    flags = logging.logThreads, logging.logProcesses, logging.logMultiprocessing, logging._srcfile
    logs.configure(Settings.from_env({"LOG_LEVEL": "DEBUG"}))
    root.handlers[:] = [everything]
    yield lambda: everything.text
    logging.logThreads, logging.logProcesses, logging.logMultiprocessing, logging._srcfile = flags
    root.handlers[:] = before
    root.setLevel(level)
    logging.getLogger("service").setLevel(logging.NOTSET)


async def live(running: Running) -> set[str]:
    """Do all that one can do, right and wrong; return what must not be repeated."""
    client = running.client
    tokens = [
        answer.json()["token"] for answer in [await client.log_in() for _ in range(3)] if answer.is_success
    ]
    await client.log_in(password=WRONG)
    await client.log_in(user=PASSWORD, password=WRONG)
    await client.request("POST", AUTH, content=f'{{"user": "causas", "password": "{WRONG}"')
    await client.request("GET", f"{AUTH}?token={tokens[0] if tokens else WRONG}")
    await client.request("GET", f"/{WRONG}")
    await client.request("POST", f"{AUTH}/introspect", data={"token": WRONG}, auth=("orders", CLIENT_SECRET))
    await client.request("POST", f"{AUTH}/revoke", data={"token": WRONG}, auth=("orders", WRONG))
    await client.request("GET", "/metrics", COLLECTOR)
    await client.request("GET", "/metrics", WRONG)
    for token in tokens[:1]:
        await client.who_am_i(token)
        await client.who_am_i(token + "x")
        await client.request("GET", f"{AUTH}/sessions", token, headers={"X-Request-ID": "not" + token})
        await client.request("POST", f"{AUTH}/verify/{CALLERS}?token={token}", token, content=CALLERS)
        await client.request(
            "POST", f"{AUTH}/revoke", json={"token": tokens[2]}, auth=("orders", CLIENT_SECRET)
        )
        await client.end_session(token, claims_of(tokens[1])["sid"])
        await client.change_password(token, WRONG, NEW)
        tokens.append((await client.refresh(token)).json().get("token", token))
        changed = await client.change_password(token, PASSWORD, NEW)
        tokens.append(changed.json().get("token", token))
        await client.log_out(tokens[-1], "all")
        await client.who_am_i(tokens[-1])
    return {*tokens, *(claims_of(token)[name] for token in tokens for name in ("sid", "jti"))}


@pytest.fixture
def owned(loop: asyncio.AbstractEventLoop, settings: Settings, clock: FakeClock) -> None:
    async def create() -> None:
        async with open_use_cases(settings, clock) as use_cases:
            await use_cases.create_user("causas", "Causas", PASSWORD, by="test")

    loop.run_until_complete(create())


@pytest.mark.usefixtures("owned")
@pytest.mark.parametrize("broken", HEARD)
async def test_no_secret_is_logged(
    start: Start, logged: Callable[[], str], settings: Settings, tmp_path: Path, broken: str
) -> None:
    async with server_that_repeats() as confused:
        by_kind: dict[str, dict[str, object]] = {
            "nothing": {},
            "redis away": {"redis_url": "redis://:hunter2@127.0.0.1:1/0"},
            "redis confused": {"redis_url": confused},
            "tables": {},
            "database": {"database_url": f"sqlite://{tmp_path / 'missing' / 'x.sqlite3'}"},
        }
        changes = by_kind[broken] | {"clients": (f"orders:{CLIENT_SECRET}",)}
        if broken == "database" and not str(settings.database_url).startswith("sqlite"):
            changes["database_url"] = "postgres://causas:hunter2@127.0.0.1:1/x"
        running = await start(jwt_secret=KEY, metrics_token=COLLECTOR, log_level="DEBUG", **changes)
        if broken == "tables":
            break_tables(running, settings)

        secrets = await live(running) | {PASSWORD, WRONG, NEW, KEY, COLLECTOR, "hunter2", "$2b$", "bcrypt"}
        secrets |= {CLIENT_SECRET, CALLERS}

    text = logged()
    assert f'"event": "{HEARD[broken]}"' in text
    assert '"event": "request"' in text
    assert [secret for secret in secrets if secret in text] == []


def break_tables(_running: Running, settings: Settings) -> None:
    """Make the service meet a bug: a table is not what its models say."""
    url = str(settings.database_url)
    if not url.startswith("sqlite"):
        pytest.skip("only SQLite's file can be changed from beside")
    connection = sqlite3.connect(url.removeprefix("sqlite://"))
    connection.execute("UPDATE users SET session_version = 'x'")
    connection.commit()
    connection.close()
