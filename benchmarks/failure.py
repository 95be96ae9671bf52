"""What makes a run worthless, and how a run ends."""

import signal
import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class BenchmarkFailure(Exception):
    """Nothing was measured, or not what was meant to be; the text says why."""


def once_more(measure: Callable[[], T]) -> T:
    """Return what it measures, at the second try if need be: a machine that stood still spoils one run."""
    try:
        return measure()
    except BenchmarkFailure as failure:
        print(f"{failure} Once more.", file=sys.stderr)
        return measure()


def exit_code(run: Callable[[], int]) -> int:
    """Return what the run does, 1 for a failure that is printed, 130 after Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Like Ctrl-C: whatever was started is stopped on the way out.
        signal.signal(number, signal.default_int_handler)
    try:
        return run()
    except BenchmarkFailure as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
