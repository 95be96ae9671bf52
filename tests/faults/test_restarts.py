"""Workers die and instances are restarted under load: what fails is what was in the hands of the dead."""

import os
import signal
import time
from collections.abc import Sequence

import pytest

from tests.backoffice import PASSWORD
from tests.faults.conftest import StartSite
from tests.faults.site import Site
from tests.faults.test_frozen_workers import stopped
from tests.faults.test_rolling import serves
from tests.faults.traffic import USER
from tests.process.load import Answers, Asker, asking, coming, seeing
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
    wait_until(lambda: sum(map(serves, service.workers())) == 2, 5)
    victim, survivor = sorted(service.workers())
    token = site.callers[0].token()
    keeping, others = staying(site, token), passing(site, token)
    # A connection that is made while the other worker is stopped is this one's.
    with stopped(survivor):
        of_the_victim = connected(*keeping[::2])
    with stopped(victim):
        of_the_survivor = connected(*keeping[1::2])
    with asking(*of_the_victim) as lost, asking(*of_the_survivor) as kept, asking(*others) as either:
        time.sleep(1)

        os.kill(victim, signal.SIGKILL)
        replaced = seconds_until(lambda: len(service.workers() - {victim}) == 2, 5)
        wait_until(lambda: failed(lost) >= len(of_the_victim), 5)
        time.sleep(1)

    assert set(kept.statuses) == {200}, kept.statuses
    # One on each connection: it is in flight, or the first to find its connection gone.
    assert failed(lost) == len(of_the_victim), lost.statuses
    # At most the one that was in flight.
    assert failed(either) <= len(others), either.statuses
    assert kept.statuses[200] > 50
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
    return [*staying(site, token), *passing(site, token)]


def staying(site: Site, token: str) -> list[Asker]:
    """Make clients that keep their connections."""
    return [seeing(site.ports[::step], token) for _ in range(KEEPING // 2) for step in (1, -1)]


def passing(site: Site, token: str) -> list[Asker]:
    """Make clients that open a connection for each request."""
    looking = (seeing(site.ports[::step], token, keep=False) for step in (1, -1))
    return [*looking, coming(site.ports, USER, PASSWORD)]


def connected(*askers: Asker) -> Sequence[Asker]:
    """Have each of them ask once, on a connection that it keeps."""
    answers = Answers()
    for asker in askers:
        asker.ask(answers)
    assert answers.statuses == {200: len(askers)}, answers.statuses
    return askers


def failed(answers: Answers) -> int:
    return answers.statuses.total() - answers.statuses[200]
