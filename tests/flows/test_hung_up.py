"""Who hangs up is no bug of ours: nobody is woken for it, and its log says what it was."""

import asyncio
import logging
import socket
import struct

import pytest

from tests.backoffice import Backoffice
from tests.flows.test_framings import CHUNKED, CREDENTIALS, HOST, LENGTH, LIVE, LOGIN, connect
from tests.flows.test_metrics import Changes
from tests.timing import until

# Closed like that, a connection is reset at once.
AT_ONCE = struct.pack("ii", 1, 0)
BEGUN = {
    "a line": b"GET /health",
    "a head": LIVE + HOST,
    "a body": LOGIN + LENGTH + b"\r\n" + CREDENTIALS[:-1],
    "chunks": LOGIN + CHUNKED + b"\r\n1\r\n{\r\n",
    "a body that waits": LOGIN + LENGTH + b"Expect: 100-continue\r\n\r\n",
}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "service.access")
    return caplog


@pytest.mark.parametrize("name", BEGUN)
async def test_who_hangs_up_in_the_middle_of_a_request_is_counted_as_that(
    client: Backoffice, log: pytest.LogCaptureFixture, name: str
) -> None:
    changes = Changes()
    _, writer = await connect(client)
    writer.write(BEGUN[name])
    await asyncio.sleep(0.05)

    writer.close()
    await logged(log)

    assert statuses(log) == [499]
    assert (changes['requests_total{status="4xx"}'], changes['requests_total{status="500"}']) == (1, 0)
    assert errors(log) == []


async def test_the_address_of_a_head_that_cannot_be_read_is_known_after_its_client_has_gone(
    client: Backoffice, log: pytest.LogCaptureFixture
) -> None:
    _, writer = await connect(client)
    await asyncio.sleep(0.05)
    writer.write(b"\x00\r\n\r\n")
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)

    writer.close()
    await logged(log)

    assert [vars(record)["network"] for record in requests(log)] == ["127.0.0.1"]
    assert errors(log) == []


async def logged(log: pytest.LogCaptureFixture) -> None:
    """Wait for a line about a request, and a moment longer: there might be more."""

    async def is_logged() -> bool:
        return bool(requests(log))

    await until(is_logged)
    await asyncio.sleep(0.02)


def requests(log: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in log.records if record.name == "service.access"]


def statuses(log: pytest.LogCaptureFixture) -> list[object]:
    return [vars(record)["status"] for record in requests(log)]


def errors(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno >= logging.WARNING]
