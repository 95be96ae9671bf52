"""What is measured must not share its core with what asks, or each slows the other down."""

import os

import pytest

from benchmarks import site
from benchmarks.servers import Server


@pytest.mark.thorough
@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores"
)
def test_servers_keep_off_the_core_of_the_load() -> None:
    with site.opened() as here, here.service() as service, here.empty_handler() as empty:
        load = os.sched_getaffinity(0)

        assert not load & cores_of(service)
        assert cores_of(service) == cores_of(empty)


def cores_of(server: Server) -> set[int]:
    return set().union(*(os.sched_getaffinity(pid) for pid in server.pids))
