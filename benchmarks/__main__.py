"""python -m benchmarks: measure what requests and logins cost, beside yardsticks on the same machine."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from benchmarks import report
from benchmarks.failure import exit_code, once_more
from benchmarks.groups import GROUPS, Group, named
from benchmarks.measure import Plan
from benchmarks.result import Result

_LONG = Plan(rounds=5, seconds=2.5)
_SHORT = Plan(rounds=5, seconds=0.8)
_ATTEMPTS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0, 1 for a failure or a promise not held, 130 after Ctrl-C."""
    options = _options(arguments)
    plan = _SHORT if options.quick else _LONG
    return exit_code(lambda: _run(_chosen(options), plan, check=options.check))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(group.name for group in GROUPS))
    parser.add_argument("--full", action="store_true", help="measure everything, the slow groups as well")
    parser.add_argument("--quick", action="store_true", help="measure shorter rounds")
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit 1 if the best of three runs is more than a tenth off what is promised",
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.groups) - {group.name for group in GROUPS}:
        parser.error(f"there is no group {', '.join(sorted(unknown))}")
    return options


def _chosen(options: argparse.Namespace) -> list[Group]:
    if options.groups:
        return named(options.groups)
    return [group for group in GROUPS if group.always or options.full]


def _run(groups: Sequence[Group], plan: Plan, *, check: bool) -> int:
    missed: list[Result] = []
    for group in groups:
        results = _best(group, plan, _ATTEMPTS if check else 1)
        if results:
            report.keep(group.name, results, plan, quick=plan is _SHORT)
        missed += [result for result in results if not result.held]
    if check and missed:
        print(f"NOT held: {', '.join(result.name for result in missed)}.", file=sys.stderr)
        return 1
    return 0


def _best(group: Group, plan: Plan, attempts: int) -> Sequence[Result]:
    """Take the better run of each row: a noisy neighbour can spoil one, but it makes nothing faster."""
    best: Sequence[Result] = ()
    for _ in range(attempts):
        results = once_more(partial(group.measure, plan))
        report.show(group.title, results)
        best = [one.better(other) for one, other in zip(best or results, results, strict=True)]
        if all(result.held for result in best):
            break
    return best


if __name__ == "__main__":
    sys.exit(main())
