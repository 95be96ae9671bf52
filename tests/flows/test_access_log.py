"""One line per request, that says what was asked for and holds nothing that was sent."""

import logging
from typing import Any

import pytest

from tests.backoffice import AUTH, Backoffice, claims_of
from tests.conftest import Start


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> "Lines":
    caplog.set_level(logging.INFO, "service.access")
    return Lines(caplog)


class Lines:
    """The lines of the access log since this test began."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def all(self) -> list[dict[str, Any]]:
        return [vars(record) for record in self._caplog.records if record.name == "service.access"]

    def last(self) -> dict[str, Any]:
        return self.all()[-1]


async def test_a_request_is_one_line(client: Backoffice, lines: Lines) -> None:
    token = await client.token()

    answer = await client.who_am_i(token)

    line = lines.last()
    assert len(lines.all()) == 2
    assert line["msg"] == "request"
    assert (line["method"], line["route"], line["status"]) == ("GET", AUTH, 200)
    assert line["user_id"] == int(claims_of(token)["sub"])
    assert line["network"] == "127.0.0.1"
    assert line["request_id"] == answer.headers["x-request-id"]
    assert 0 < line["ms"] < 60_000


async def test_a_route_is_told_by_its_pattern(client: Backoffice, lines: Lines) -> None:
    token = await client.token()

    await client.end_session(token, claims_of(token)["sid"])

    assert lines.last()["route"] == f"{AUTH}/sessions/{{sid}}"


async def test_a_method_that_nothing_answers_is_not_told(client: Backoffice, lines: Lines) -> None:
    await client.request("hunter2", AUTH)

    assert (lines.last()["method"], lines.last()["status"]) == ("_OTHER", 405)
    assert "hunter2" not in str(lines.last())


async def test_what_has_no_route_is_told_without_its_path(client: Backoffice, lines: Lines) -> None:
    await client.request("GET", "/hunter2?token=hunter2")

    assert (lines.last()["route"], lines.last()["status"]) == (None, 404)
    assert "hunter2" not in str(lines.last())


async def test_a_request_that_is_not_http_is_a_line_too(client: Backoffice, lines: Lines) -> None:
    await client.request("GET", "/health/live", headers={"X-Long": "x" * 20_000})

    assert lines.last()["status"] in {400, 413, 431}


async def test_it_can_be_switched_off(start: Start, lines: Lines) -> None:
    running = await start(access_log=False)

    await running.client.request("GET", "/health/live")

    assert lines.all() == []
