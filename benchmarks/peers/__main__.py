"""python -m benchmarks.peers: the token check of others beside ours, on the same machine in the same run."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import proving, report, rows, site
from benchmarks.failure import exit_code
from benchmarks.measure import CONNECTIONS, Plan, Row, measure
from benchmarks.peers import table
from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.install import Missing, installed
from benchmarks.peers.peer import Peer
from benchmarks.peers.proving import prove, sign_in
from benchmarks.peers.running import running
from benchmarks.peers.versions import versions
from benchmarks.result import Result
from benchmarks.seeding import seed
from benchmarks.servers import Server
from benchmarks.site import Site
from service import wiring

_FULL = Plan(rounds=5, seconds=2.5)
_QUICK = Plan(rounds=3, seconds=0.8)
_FIRST_SIGHTS = 6000  # of one round
_WE_LOOK_UP = "the session and a rate limit, in Redis"


@dataclass(frozen=True, slots=True)
class _Present:
    """A peer that can run here, and the folder it is installed in."""

    peer: Peer
    folder: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0, 1 for a failure, 130 after Ctrl-C. A peer whose tools are missing is skipped."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure shorter rounds, and write no file")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _run(_QUICK if options.quick else _FULL, keep=not options.quick))


def _run(plan: Plan, *, keep: bool) -> int:
    present, skipped = _install()
    figures = _measure_all(present, plan)
    looks_up = ["nothing", _WE_LOOK_UP, "the same", *(each.peer.looks_up for each in present)]
    table.show(table.lines_of(figures, looks_up), skipped)
    if keep:
        print(f"Written to {_write(figures, looks_up, present, skipped, plan)}.")
    return 0


def _install() -> tuple[list[_Present], list[str]]:
    present, skipped = [], []
    for peer in PEERS:
        try:
            present.append(_Present(peer, installed(peer)))
        except Missing as missing:
            skipped.append(f"{peer.name}: {missing}")
    return present, skipped


def _measure_all(present: Sequence[_Present], plan: Plan) -> list[Result]:
    with (
        site.opened() as here,
        here.empty_handler() as empty,
        here.service() as service,
        ExitStack() as stack,
    ):
        known, unknown = site.run(_prove_and_seed(here, service, _FIRST_SIGHTS * plan.turns_at_most))
        ours = [
            rows.warm(service, known, name="this service"),
            replace(
                rows.first_sight(service, unknown, _FIRST_SIGHTS),
                name="this service, each token for the first time",
            ),
        ]
        theirs = [_row(each, here, stack) for each in present]
        return site.run(measure(rows.yardstick(empty, known[0]), [*ours, *theirs], plan))


async def _prove_and_seed(here: Site, service: Server, unknown: int) -> tuple[Sequence[str], Sequence[str]]:
    async with wiring.open_use_cases(here.settings) as use_cases:
        await proving.prove(service, use_cases)
        return await seed(use_cases, CONNECTIONS), await seed(use_cases, unknown)


def _row(each: _Present, here: Site, stack: ExitStack) -> Row:
    """Start a peer, prove it, sign in once for each connection."""
    peer = each.peer
    redis_url = wiring.redis_url(here.settings)
    server = stack.enter_context(running(peer, each.folder, here.directory, redis_url, here.core))
    prove(peer, server)
    tokens = [sign_in(peer, server) for _ in range(CONNECTIONS)]
    return rows.warm(server, tokens, name=peer.name)


def _write(
    figures: Sequence[Result],
    looks_up: Sequence[str],
    present: Sequence[_Present],
    skipped: Sequence[str],
    plan: Plan,
) -> Path:
    """Write what every benchmark writes, and beside it what each looks up, its versions, who was skipped."""
    path = report.write(table.NAME, figures, plan)
    content = {
        **json.loads(path.read_text()),
        table.LOOKS_UP: list(looks_up),
        "versions of peers": {each.peer.name: versions(each.peer, each.folder) for each in present},
        "skipped": list(skipped),
    }
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
