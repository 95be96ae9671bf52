"""Errors go to Sentry and spans to OpenTelemetry where they are set, without a secret in them."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.backoffice import AUTH
from tests.process.collector import Collector, collector
from tests.process.running import (
    DEMO_PASSWORD,
    RunningService,
    running_service,
)
from tests.timing import wait_until

pytestmark = pytest.mark.thorough

REQUEST_ID = "look-for-this-one"
WRONG = "hunter2 hunter2 hunter2"
COOKIE = "session=of-something-else"
IN_A_TABLE = "what-a-driver-quotes"
NOWHERE = "http://key@127.0.0.1:1/1"


@pytest.fixture(scope="module")
def sent() -> Iterator[Collector]:
    with collector() as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, sent: Collector) -> Iterator[RunningService]:
    settings = {
        "SENTRY_DSN": f"http://publickey@{sent.at}/1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sent.at}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",  # milliseconds; else five seconds
    }
    directory = tmp_path_factory.mktemp("exports")
    with running_service(directory, WEB_CONCURRENCY="1", LIMIT_LOGIN="0", **settings) as service:
        yield service


@pytest.fixture(scope="module")
def secrets(service: RunningService) -> list[str]:
    """What was sent to a service, and lay in its stores, before and while it met a bug."""
    token = service.token()
    sid = str(service.who_am_i(token).json()["session"]["id"])
    service.log_in(password=WRONG)
    break_tables(service)
    broken = service.http.post(
        service.url + AUTH,
        json={"user": "causas", "password": DEMO_PASSWORD},
        headers={"Authorization": f"Bearer {token}", "X-Request-ID": REQUEST_ID, "Cookie": COOKIE},
    )
    assert broken.status_code == 500
    key = (service.data_dir / "development-key").read_text()
    return [token, sid, WRONG, DEMO_PASSWORD, COOKIE, key, IN_A_TABLE]


def break_tables(service: RunningService) -> None:
    """Have the service meet a bug, and in the background as well: a number is none."""
    with closing(sqlite3.connect(service.data_dir / "backoffice.sqlite3", timeout=5)) as connection:
        # The latter has the list of revocations look at the row.
        sql = "UPDATE users SET session_version = ?, version_change = 99999999999999"
        connection.execute(sql, [IN_A_TABLE])
        connection.commit()


def reports(sent: Collector) -> list[dict[str, Any]]:
    """Read Sentry's envelopes: a header, and then for each item a header and a payload, line by line."""
    lines = [body.splitlines() for body in sent.bodies("/api/1/envelope/")]
    items = [zip(each[1::2], each[2::2], strict=True) for each in lines]
    return [json.loads(load) for item in items for head, load in item if json.loads(head)["type"] == "event"]


def spans(sent: Collector) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for body in sent.bodies("/v1/traces"):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return [(span.name, {each.key: _value(each.value) for each in span.attributes}) for span in found]


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def reported(sent: Collector, event: str) -> list[dict[str, Any]]:
    return [report for report in reports(sent) if report["tags"].get("event") == event]


def test_a_bug_is_reported_with_the_id_of_its_request(sent: Collector, secrets: list[str]) -> None:
    wait_until(lambda: bool(reported(sent, "server_error")), 10)

    (report,) = reported(sent, "server_error")

    assert report["tags"]["request_id"] == REQUEST_ID
    assert report["environment"] == "test"
    frames = [frame for error in report["exception"]["values"] for frame in error["stacktrace"]["frames"]]
    assert any("service" in frame["filename"] for frame in frames)
    assert not any("vars" in frame for frame in frames)
    assert "request" not in report


def test_an_error_in_the_background_is_reported(sent: Collector, secrets: list[str]) -> None:
    wait_until(lambda: bool(reported(sent, "periodic_step_failed")), 10)


def test_every_request_is_a_span(sent: Collector, service: RunningService, secrets: list[str]) -> None:
    def of_the_bug() -> list[tuple[str, dict[str, Any]]]:
        return [span for span in spans(sent) if span[1]["backoffice.request_id"] == REQUEST_ID]

    wait_until(lambda: bool(of_the_bug()), 15)

    ((name, attributes),) = of_the_bug()
    (mine,) = [each for name, each in spans(sent) if name == f"GET {AUTH}"]

    assert name == f"POST {AUTH}"
    assert attributes["http.route"] == AUTH
    assert attributes["http.response.status_code"] == 500
    assert mine["backoffice.user_id"] == 1
    assert len(mine["backoffice.session"]) == 8


def test_no_secret_leaves(sent: Collector, secrets: list[str]) -> None:
    wait_until(lambda: bool(reported(sent, "server_error") and spans(sent)), 15)

    everything = b"".join(body for _, body in sent.received)

    assert [secret for secret in secrets if secret.encode() in everything] == []


@pytest.fixture
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture
def without_packages(tmp_path: Path) -> dict[str, str]:
    """An environment in which the extras are not installed."""
    for package in ("sentry_sdk", "opentelemetry"):
        (tmp_path / f"{package}.py").write_text("raise ImportError\n")
    return {"PYTHONPATH": str(tmp_path), "SENTRY_DSN": NOWHERE, "OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE}


def test_missing_packages_are_named_and_keep_nobody_out(
    data_dir: Path, without_packages: dict[str, str]
) -> None:
    with running_service(data_dir, WEB_CONCURRENCY="1", **without_packages) as service:
        said = service.log()
        examined = service.scripts("doctor")

        assert service.log_in().status_code == 200

    for text in (said, examined.stdout):
        assert "SENTRY_DSN is set and its package is missing" in text
        assert "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http." in text


def test_a_collector_that_is_away_delays_no_end(data_dir: Path) -> None:
    nowhere = {"SENTRY_DSN": NOWHERE, "OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE}
    with running_service(data_dir, WEB_CONCURRENCY="1", **nowhere) as service:
        assert service.log_in().status_code == 200

        service.process.terminate()

        assert service.process.wait(10) == 0
