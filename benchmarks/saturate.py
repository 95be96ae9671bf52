"""Ask a service for as many token checks as its core can take, and see what that leaves for hashing."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from benchmarks import load, processes, rows
from benchmarks.measure import CONNECTIONS
from benchmarks.seeding import PASSWORD, make_users, seed
from benchmarks.servers import Server
from benchmarks.site import Site
from service import wiring

# What ships: the hash is the storm.
COST = 12


@dataclass(frozen=True, slots=True)
class Requests:
    """What is asked of a service in a storm."""

    checks: Sequence[bytes]
    logins: Sequence[bytes]  # each of another user


@dataclass(frozen=True, slots=True)
class Saturated:
    rate: float  # token checks per second
    hashing: float  # the share of a core that went into hashes
    busy: float  # the share of a core that the service used


async def requests_for(here: Site, people: int) -> Requests:
    """Make the users and the sessions."""
    users = make_users(here, people, COST)
    async with wiring.open_use_cases(here.settings) as use_cases:
        tokens = await seed(use_cases, CONNECTIONS)
    return Requests(
        [rows.who_am_i(token) for token in tokens], [rows.log_in(user, PASSWORD) for user in users]
    )


async def saturated(service: Server, checks: Sequence[bytes], seconds: float) -> Saturated:
    """Keep every connection busy for so long."""
    async with load.connected(service.port, CONNECTIONS) as connections:
        threads = {pid: processes.threads_seconds(pid) for pid in service.pids}
        cpu_before, before = service.cpu_seconds(), time.perf_counter()
        answers = await connections.drive(cycle(checks), seconds)
        wall, cpu = time.perf_counter() - before, service.cpu_seconds() - cpu_before
        hashing = sum(processes.busiest_thread_seconds(pid, threads[pid]) for pid in service.pids)
    return Saturated(answers / wall, hashing / wall, cpu / wall)
