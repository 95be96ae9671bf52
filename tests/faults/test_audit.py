"""What happened in two workers is counted exactly, and shown to an operator until she has seen enough."""

import json
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import stores_in_use
from tests.backoffice import PASSWORD
from tests.faults.conftest import StartSite, slowly
from tests.faults.servers import PostgresServer
from tests.process.running import ROOT, RunningService, need_postgres, running_service
from tests.timing import wait_until

pytestmark = pytest.mark.thorough

# Fewer than begin a block.
GUESSES = 48
NO_LIMITS = {"LIMIT_LOGIN": "0", "LIMIT_LOGIN_ACCOUNT": "0", "LIMIT_LOGIN_NETWORK": "0"}


@pytest.fixture(scope="module", params=["sqlite", slowly("postgres")])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    env = {**NO_LIMITS, "WEB_CONCURRENCY": "2"}
    with ExitStack() as stack:
        if request.param == "postgres":
            url = stack.enter_context(stores_in_use.postgres_database(need_postgres()))
            env |= {"DATABASE_URL": url, "JWT_SECRET": "s" * 48}
        service = stack.enter_context(running_service(tmp_path_factory.mktemp("events"), **env))
        service.scripts("users", "create", "ada", "--password-stdin", input=PASSWORD).check_returncode()
        yield service


def exported(service: RunningService, *options: str) -> list[dict[str, Any]]:
    done = service.scripts("events", "export", "--json", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def total(service: RunningService, user: str) -> int:
    return sum(row["count"] for row in exported(service, "--user", user, "--event", "login_refused"))


@contextmanager
def following(service: RunningService, *options: str) -> "Iterator[subprocess.Popen[str]]":
    program = [sys.executable, "-m", "scripts", "events", *options]
    process = subprocess.Popen(
        program,
        env=service.env,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_parallel_guesses_on_two_workers_are_counted_exactly_in_few_rows(service: RunningService) -> None:
    begun = int(time.time()) // 60
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: service.log_in("eve", "wrong"), range(GUESSES))
        statuses = [answer.status_code for answer in answers]

    wait_until(lambda: total(service, "EVE") >= GUESSES, 10)
    minutes = int(time.time()) // 60 - begun + 1
    assert statuses == [401] * GUESSES
    assert total(service, "eve") == GUESSES
    assert len(exported(service, "--user", "eve")) <= 2 * minutes


@pytest.mark.slow
def test_a_command_is_on_record_with_who_ran_it(service: RunningService) -> None:
    service.scripts("users", "enable", "ada").check_returncode()

    row = exported(service, "--event", "user_enabled")[-1]

    assert "@" in row["by"]
    assert row["changed"] is False


def test_who_follows_sees_what_happens_and_ends_quietly_on_ctrl_c(service: RunningService) -> None:
    with following(service, "tail", "--follow", "-n", "0", "--json", "--event", "user_enabled") as process:
        output = process.stdout
        assert output is not None

        def is_told() -> bool:
            # What happens before it follows is not its business.
            service.scripts("users", "enable", "ada").check_returncode()
            return bool(select.select([output], [], [], 1)[0])

        wait_until(is_told, 20)
        process.send_signal(signal.SIGINT)
        told, complaint = process.communicate(timeout=20)

    assert {json.loads(line)["event"] for line in told.splitlines()} == {"user_enabled"}
    assert (process.returncode, complaint) == (130, "")


@pytest.mark.slow
def test_an_export_whose_reader_has_gone_ends_quietly(service: RunningService) -> None:
    with following(service, "export") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        complaint = process.stderr.read()
        process.wait(20)

    assert (process.returncode, complaint) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "option",
    [
        ("--event", "nonsense"),
        ("--network", "x"),
        ("--network", "203.0.113.0/24"),
        ("--network", "2001:db8::/48"),
        ("--since", "yesterday"),
        ("--until", "2026-11-24T03:00:00"),  # where?
    ],
)
def test_a_filter_that_could_match_nothing_is_wrong_usage(
    service: RunningService, option: tuple[str, str]
) -> None:
    done = service.scripts("events", "export", *option)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: python -m scripts" in done.stderr


@pytest.mark.slow
def test_what_was_noted_last_is_written_when_the_service_stops(tmp_path: Path) -> None:
    with running_service(tmp_path / "stopped", **NO_LIMITS) as service:
        service.log_in("eve", "wrong")
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(20)

        assert total(service, "eve") == 1


@pytest.mark.slow
def test_totals_are_exact_though_the_database_was_killed_meanwhile(
    start: StartSite, postgres: PostgresServer
) -> None:
    site = start(postgres.url)
    statuses: Counter[int] = Counter()

    def guess_for(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for instance in site.instances:
                statuses[instance.log_in(f"nobody {statuses.total()}", "wrong").status_code] += 1

    for _ in range(3):
        guess_for(2)
        postgres.kill()
        guess_for(1)
        postgres.start()
    guess_for(2)

    instance = site.instances[0]
    expected = statuses[401]
    wait_until(lambda: refused(instance) >= expected, 10)
    assert set(statuses) == {401, 503}
    assert refused(instance) == expected


def refused(service: RunningService) -> int:
    return sum(row["count"] for row in exported(service, "--event", "login_refused"))
