"""What the benchmarks measure keeps off the core of what asks, and does what they say of it."""

import os

import httpx
import pytest

from benchmarks import site
from benchmarks.login import postgres
from benchmarks.seeding import PASSWORD, make_users
from benchmarks.servers import AUTH, Server


@pytest.mark.thorough
@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores"
)
def test_servers_keep_off_the_core_of_the_load() -> None:
    with site.opened() as here, here.service() as service, here.empty_handler() as empty:
        load = os.sched_getaffinity(0)

        assert not load & cores_of(service)
        assert cores_of(service) == cores_of(empty)


@pytest.mark.thorough
def test_the_yardstick_of_logins_lets_in_by_the_right_password_only() -> None:
    with postgres() as url:
        if url is None:
            pytest.skip("needs PostgreSQL: TEST_STORES=auto or TEST_DATABASE_URL")
        with site.opened(DATABASE_URL=url) as here, here.bare_login() as bare:
            (user,) = make_users(here, 1, cost=4)
            answers = [
                httpx.post(f"http://127.0.0.1:{bare.port}{AUTH}", json={"user": user, "password": password})
                for password in (PASSWORD, "wrong")
            ]

    assert [answer.status_code for answer in answers] == [200, 401]


def cores_of(server: Server) -> set[int]:
    return set().union(*(os.sched_getaffinity(pid) for pid in server.pids))
