"""Workers die and instances are restarted under load: what fails is what was in the hands of the dead."""

import os
import signal
import time

import pytest

from tests.backoffice import PASSWORD
from tests.faults.conftest import StartSite
from tests.faults.site import Site
from tests.faults.traffic import USER
from tests.process.load import Asker, asking, coming, seeing
from tests.process.running import needs_proc
from tests.timing import assert_within, seconds_until, wait_until

pytestmark = [needs_proc, pytest.mark.slow]

ROUNDS = 3
KEEPING = 8


def test_of_a_worker_killed_under_load_only_its_own_requests_fail(
    start: StartSite, database_url: str
) -> None:
    site = start(database_url, {}, WEB_CONCURRENCY="2", LIMIT_SESSION="0")
    service = site.instances[0]
    wait_until(lambda: len(service.workers()) == 2, 3)
    askers = clients(site)
    with asking(*askers) as answers:
        time.sleep(1)
        victim = min(service.workers())

        os.kill(victim, signal.SIGKILL)
        replaced = seconds_until(lambda: len(service.workers() - {victim}) == 2, 5)
        time.sleep(1)

    failed = answers.statuses.total() - answers.statuses[200]
    # At most one on each connection: it is in flight, or the first to find its connection gone.
    assert failed <= len(askers), answers.statuses
    assert answers.statuses[200] > 100
    assert_within(3, replaced)


def test_two_instances_restarted_in_turn_under_load_drop_no_request(
    start: StartSite, database_url: str
) -> None:
    site = start(database_url, {}, {}, WEB_CONCURRENCY="2", LIMIT_SESSION="0")
    with asking(*clients(site)) as answers:
        for _ in range(ROUNDS):
            for number in range(2):
                site.restart(number)

    assert set(answers.statuses) == {200}, answers.statuses
    assert answers.statuses.total() > 500


def test_an_instance_that_stops_refuses_connections_at_once(start: StartSite, database_url: str) -> None:
    site = start(database_url, {}, WEB_CONCURRENCY="2", BCRYPT_COST="13")
    service, caller = site.instances[0], site.callers[0]
    with asking(coming(site.ports, USER, PASSWORD)) as answers:
        wait_until(lambda: answers.statuses[200] > 0, 5)

        service.process.send_signal(signal.SIGTERM)

        wait_until(lambda: caller.who_am_i("x").status == 0, 0.5)
        assert service.process.wait(5) == 0

    assert set(answers.statuses) <= {200, "ConnectionRefusedError"}, answers.statuses


def clients(site: Site) -> list[Asker]:
    token = site.callers[0].token()
    ports = site.ports
    return [
        *(seeing(ports[::step], token) for _ in range(KEEPING // 2) for step in (1, -1)),
        *(seeing(ports[::step], token, keep=False) for step in (1, -1)),
        coming(ports, USER, PASSWORD),
    ]
