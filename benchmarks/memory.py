"""python -m benchmarks.memory: see whether a worker's memory stays flat over a million requests."""

import asyncio
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path

import uvloop

from benchmarks import load, processes, servers
from benchmarks.failure import exit_code
from benchmarks.measure import CONNECTIONS
from benchmarks.proving import prove
from benchmarks.rows import warm
from benchmarks.seeding import seed
from benchmarks.servers import Server
from service import wiring
from service.settings import Settings

_WARM_UP = 100_000
_STEP = 100_000
_STEPS = 10
_TOLERANCE = 0.05
_SESSIONS = 1000
# Of one step, on a machine that has other things to do as well.
_PATIENCE_SECONDS = 300.0


def main() -> int:
    """Return 0, 1 for a failure or a worker that grew, 130 after Ctrl-C."""
    return exit_code(_run)


def _run() -> int:
    load_core, server_core = processes.cores()
    with ExitStack() as stack:
        env = servers.service_env(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="memory-"))))
        stack.enter_context(processes.pinned(load_core))
        settings = stack.enter_context(servers.embedded_stores(env))
        service = stack.enter_context(servers.service(env, server_core))
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        sizes = runner.run(_measure(settings, service))
    first, furthest = sizes[0], max(sizes, key=lambda size: abs(size - sizes[0]))
    change = furthest / first - 1
    print(f"At most {change:+.1%} from {first:.1f} MB over {_STEPS * _STEP:,} requests (±{_TOLERANCE:.0%}).")
    return 0 if abs(change) <= _TOLERANCE else 1


async def _measure(settings: Settings, service: Server) -> list[float]:
    async with wiring.open_use_cases(settings) as use_cases:
        await prove(service, use_cases)
        requests = cycle(list(islice(warm(service, await seed(use_cases, _SESSIONS)).requests(), _SESSIONS)))
    await _ask(service, islice(requests, _WARM_UP))
    sizes = [_megabytes(service)]
    for number in range(_STEPS):
        await _ask(service, islice(requests, _STEP))
        sizes.append(_megabytes(service))
        print(f"{(number + 1) * _STEP:>9,} requests  {sizes[-1]:6.1f} MB", flush=True)
    return sizes


async def _ask(service: Server, requests: Iterable[bytes]) -> None:
    async with load.connected(service.port, CONNECTIONS) as connections:
        await connections.drive(requests, _PATIENCE_SECONDS)


def _megabytes(service: Server) -> float:
    return sum(processes.resident_bytes(pid) for pid in service.pids) / 1e6


if __name__ == "__main__":
    sys.exit(main())
