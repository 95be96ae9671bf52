"""Let the parent see how its workers are: one number for each, in memory that all of them share.

Mapped before the workers are forked. A worker writes its own number only, and the parent reads.
"""

import mmap

from service.telemetry.metrics import ROWS

# Numbered as those of the metrics are.
_memory = memoryview(mmap.mmap(-1, ROWS * 8)).cast("q")

BOOTING = 0
LEAVING = -1


def start(row: int) -> None:
    """Say for a worker, before it is forked, that it has not served yet."""
    _memory[row] = BOOTING


def beat(row: int) -> None:
    """Say that this worker serves, and that its loop has just turned once more."""
    if _memory[row] != LEAVING:
        _memory[row] += 1


def leave(row: int) -> None:
    """Say that this worker finishes what it has begun and takes nothing new."""
    _memory[row] = LEAVING


def read(row: int) -> int:
    """Return BOOTING, LEAVING, or a number above both that changes with every beat."""
    return _memory[row]
