"""What is counted of what clients do, who may see it, and what the access log says of it."""

import re
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import pytest

from service.settings import Environment, Rate
from service.telemetry.metrics import exposition
from service.uncancelled import finish_all
from tests.backoffice import PASSWORD, Backoffice
from tests.conftest import Start

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
TOKEN = "a token of the collector"
PRODUCTION = {"environment": Environment.PRODUCTION, "jwt_secret": "x" * 48}


class Changes:
    """What the samples have risen by since this was made."""

    def __init__(self) -> None:
        self._before = samples()

    def __getitem__(self, sample: str) -> float:
        return samples()[f"backoffice_{sample}"] - self._before[f"backoffice_{sample}"]


def samples() -> dict[str, float]:
    lines = [line.rpartition(" ") for line in exposition().splitlines() if not line.startswith("#")]
    return defaultdict(float, {name: float(number) for name, _, number in lines})


async def test_the_collector_gets_text(client: Backoffice) -> None:
    answer = await client.request("GET", "/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "# TYPE backoffice_logins_total counter\n" in answer.text


async def test_head_works_where_get_does(client: Backoffice) -> None:
    answer = await client.request("HEAD", "/metrics")

    assert (answer.status_code, answer.content) == (200, b"")


async def test_it_is_not_there_in_production_without_a_token(start: Start) -> None:
    running = await start(**PRODUCTION)

    answer = await running.client.request("GET", "/metrics")

    assert answer.status_code == 404
    assert answer.json() == {"message": "The route metrics could not be found."}


@pytest.mark.parametrize("changes", [{}, PRODUCTION], ids=["development", "production"])
async def test_with_a_token_set_only_that_token_gets_it(start: Start, changes: dict[str, object]) -> None:
    client = (await start(metrics_token=TOKEN, **changes)).client

    answers = [await client.request("GET", "/metrics", token) for token in (TOKEN, "another", TOKEN[:-1])]
    answers.append(await client.request("GET", "/metrics", headers={b"Authorization": b"Bearer \xff"}))
    answers.append(await client.request("GET", "/metrics"))

    assert [answer.status_code for answer in answers] == [200, 401, 401, 401, 401]
    assert {answer.json()["message"] for answer in answers[1:]} == {"Unauthenticated."}
    assert 'error="invalid_token"' in answers[1].headers["www-authenticate"]
    assert 'error="invalid_token"' not in answers[4].headers["www-authenticate"]


async def test_a_token_of_a_user_does_not_open_it(start: Start) -> None:
    running = await start(metrics_token=TOKEN)
    await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")

    answer = await running.client.request("GET", "/metrics", await running.client.token())

    assert answer.status_code == 401


async def test_no_limit_applies_to_it(start: Start) -> None:
    client = (await start(limit_network=Rate(1, timedelta(minutes=1), 1), metrics_token=TOKEN)).client

    answers = [await client.request("GET", "/metrics") for _ in range(100)]

    assert {answer.status_code for answer in answers} == {401}
    assert "ratelimit" not in answers[-1].headers


async def test_logins_are_counted_by_how_they_ended(client: Backoffice) -> None:
    changes = Changes()

    await client.log_in()
    for _ in range(6):
        await client.log_in("nobody", "wrong")

    assert changes['logins_total{outcome="ok"}'] == 1
    assert changes['logins_total{outcome="refused"}'] == 5
    assert changes['logins_total{outcome="blocked"}'] == 1
    assert changes["login_seconds_count"] == 7
    assert changes["hash_wait_seconds_count"] == 6
    assert changes["hashes_waiting"] == 0


async def test_checks_are_counted_by_who_answered_them(client: Backoffice) -> None:
    token = await client.token()
    changes = Changes()

    for _ in range(3):
        await client.who_am_i(token)

    assert changes['checks_total{source="redis"}'] == 3
    assert changes["signatures_checked_total"] == 1
    assert changes['requests_total{status="2xx"}'] == 3
    assert changes["redis_seconds_count"] >= 3


async def test_a_login_is_two_round_trips_to_redis(client: Backoffice) -> None:
    await client.token()
    await finish_all()
    changes = Changes()

    token = await client.token()
    await finish_all()

    # The attempt before the hash; after the answer the session's copy, together with the end of the attempt.
    assert changes["redis_seconds_count"] == 2
    await client.who_am_i(token)
    assert changes['checks_total{source="database"}'] == 0


async def test_a_logout_is_counted_as_confirmed_by_redis(client: Backoffice) -> None:
    token = await client.token()
    changes = Changes()

    await client.log_out(token)
    await client.who_am_i(token)

    assert changes['revocations_total{by="redis"}'] == 1
    assert changes['revocations_total{by="time"}'] == 0
    assert changes['requests_total{status="4xx"}'] == 1


async def test_a_lost_redis_shows(start: Start) -> None:
    changes = Changes()
    running = await start(redis_url="redis://127.0.0.1:1/0")
    await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
    token = await running.client.token()

    await running.client.log_out(token)

    assert changes["redis_down"] == 1
    assert changes['store_lost_total{store="redis"}'] == 1
    assert changes['checks_total{source="database"}'] == 1
    assert changes['checks_total{source="redis"}'] == 0
    assert changes['revocations_total{by="time"}'] >= 1
    assert samples()["backoffice_login_limits_local"] == 1


async def test_a_lost_database_shows(start: Start, tmp_path: Path) -> None:
    changes = Changes()
    running = await start(
        database_url=f"sqlite://{tmp_path / 'missing' / 'x.sqlite3'}", database_timeout=timedelta(seconds=1)
    )

    await running.client.log_in()

    assert changes['logins_total{outcome="unavailable"}'] == 1
    assert changes['requests_total{status="503"}'] == 1


async def test_the_documented_metrics_are_the_exposed_ones() -> None:
    heading = OPERATIONS.read_text().partition("## Metrics")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(backoffice_\w+)(?:\{(\w+)\})?` \|", heading, re.MULTILINE)

    text = exposition()
    exposed = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)

    assert [name for name, _ in documented] == exposed
    for name, label in documented:
        assert bool(label) == (f'{name}{{{label or "le"}="' in text), name
