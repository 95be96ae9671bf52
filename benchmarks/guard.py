"""python -m benchmarks.guard: attack the login, and count what that yields: guesses, names."""

import asyncio
import gc
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import guesses, processes, refused_logins, servers
from benchmarks.failure import exit_code, once_more
from benchmarks.guesses import Figure
from benchmarks.refused_logins import Reason, Told
from benchmarks.report import RESULTS
from benchmarks.servers import Server
from service import wiring
from service.settings import Settings

_REPETITIONS = 20
# A noisy neighbour can make a difference where there is none, but it cannot hide one three times.
_ATTEMPTS = 3
_NO_LIMITS = {"LIMIT_LOGIN": "0", "LIMIT_LOGIN_ACCOUNT": "0", "LIMIT_LOGIN_NETWORK": "0"}
# In memory, where there is such a place: what is written after one answer should not slow the next.
_MEMORY = Path("/dev/shm")  # noqa: S108 - only to make a directory of our own in


@dataclass(frozen=True, slots=True)
class Plan:
    """How closely to look at one bcrypt cost. Smaller samples would fail a perfect service by chance."""

    cost: int
    samples: int
    bound: float


_PLANS = (Plan(4, 1500, 0.05), Plan(12, 200, 0.12))


def main() -> int:
    """Return 0, 1 for a failure or a promise not kept, 130 after Ctrl-C."""
    return exit_code(_run)


def _run() -> int:
    figures = [figure for workers in (1, 2) for figure in once_more(partial(_figures, workers))]
    _show_figures(figures)
    told = [line for plan in _PLANS for line in _times(plan)]
    _show_times(told)
    kept = all(figure.kept for figure in figures) and all(line.kept for line in told)
    print(f"Written to {_write(figures, told)}. {'Every' if kept else 'NOT every'} promise was kept.")
    return 0 if kept else 1


def _figures(workers: int) -> list[Figure]:
    """Attack a service that keeps the limits it ships with."""
    env = {"WEB_CONCURRENCY": str(workers), "TRUSTED_PROXY_HOPS": "1"}

    async def attack(settings: Settings, server: Server) -> list[Figure]:
        async with wiring.open_use_cases(settings) as use_cases:
            create_user = use_cases.create_user
            figures = [await guesses.race(server, create_user, _REPETITIONS, workers)]
            if workers > 1:
                figures += await guesses.many_addresses(server, create_user, _REPETITIONS)
                figures += await guesses.many_accounts(server, create_user, _REPETITIONS)
            return figures

    with _service(env) as (settings, server):
        return asyncio.run(attack(settings, server))


def _times(plan: Plan) -> list[Told]:
    """Compare the times of refusals; up to three times what is out of bounds, and the best time counts."""
    yardstick, *left = refused_logins.reasons(plan.cost)
    best: dict[str, Told] = {}
    with _service({"BCRYPT_COST": str(plan.cost), **_NO_LIMITS}) as (settings, server):
        for attempt in range(_ATTEMPTS):
            compare = partial(_compared, settings, server, [yardstick, *left], plan, attempt)
            for told in once_more(compare):
                known = best.get(told.reason, told)
                best[told.reason] = min(known, told, key=lambda line: abs(line.auc - 0.5))
            left = [reason for reason in left if not best[reason.name].kept]
            if not left:
                break
    return list(best.values())


def _compared(
    settings: Settings, server: Server, chosen: Sequence[Reason], plan: Plan, attempt: int
) -> list[Told]:
    async def seed() -> None:
        async with wiring.open_use_cases(settings) as use_cases:
            await refused_logins.seed(use_cases, chosen, refused_logins.accounts_for(plan.samples))

    asyncio.run(seed())
    gc.disable()
    try:
        times = refused_logins.measure(server, chosen, plan.samples, seed=attempt)
    finally:
        gc.enable()
    return refused_logins.compare(times, plan.cost, plan.bound)


@contextmanager
def _service(changes: dict[str, str]) -> Iterator[tuple[Settings, Server]]:
    load_core, server_core = processes.cores()
    parent = _MEMORY if _MEMORY.is_dir() else None
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="guard-", dir=parent))
        env = servers.service_env(Path(directory)) | changes
        stack.enter_context(processes.pinned(load_core))
        settings = stack.enter_context(servers.embedded_stores(env))
        yield settings, stack.enter_context(servers.service(env, server_core))


def _show_figures(figures: Sequence[Figure]) -> None:
    table = Table("attack", title=f"{_REPETITIONS} repetitions each")
    for column in ("found", "promised", "kept"):
        table.add_column(column, justify="right")
    for figure in figures:
        found = f"{min(figure.found)} to {max(figure.found)}"
        promised = f"{figure.least}" if figure.least == figure.most else f"at most {figure.most}"
        table.add_row(figure.name, found, promised, "yes" if figure.kept else "NO")
    Console().print(table)


def _show_times(told: Sequence[Told]) -> None:
    table = Table("refused because", title="Told from a wrong password by the time of one answer")
    for column in ("cost", "samples", "median ms", "AUC", "promised", "kept"):
        table.add_column(column, justify="right")
    for line in told:
        table.add_row(
            line.reason,
            str(line.cost),
            f"{line.samples:,}",
            f"{line.median_ms:.2f}",
            f"{line.auc:.3f}",
            f"0.5 ± {line.bound:.2f}",
            "yes" if line.kept else "NO",
        )
    Console().print(table)


def _write(figures: Sequence[Figure], told: Sequence[Told]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "guard.json"
    content = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "figures": [asdict(figure) | {"kept": figure.kept} for figure in figures],
        "times": [asdict(line) | {"kept": line.kept} for line in told],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
