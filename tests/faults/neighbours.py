"""Tell for how long others on the machine kept its cores from what a test measures."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PROC = Path("/proc")
_USER, _SYSTEM_WITH_CHILDREN = 11, 15  # in /proc/<pid>/stat, from the state on
# In /proc/stat: user, nice, system and what another machine stole; then idle, and waiting for a disk.
_USED, _IDLE = (1, 2, 3, 8), (4, 5)


@contextmanager
def time_lost() -> Iterator[Callable[[], float]]:
    """Yield what gives the seconds lost since then; none, where the system does not tell (outside Linux)."""
    before = _taken_by_others()
    yield lambda: max(0.0, _taken_by_others() - before) / (os.cpu_count() or 1)


def _taken_by_others() -> float:
    """Return seconds of cores, less those that nobody took."""
    if not (_PROC / "stat").exists():
        return 0.0
    machine = (_PROC / "stat").read_text().split("\n", 1)[0].split()
    used, idle = (sum(int(machine[column]) for column in columns) for columns in (_USED, _IDLE))
    return (used - sum(map(_ticks, _family(os.getpid()))) - idle) / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> Iterator[int]:
    """Name a process and its descendants; those that ended are counted by who waited for them."""
    yield pid
    try:
        for task in (_PROC / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))
    except FileNotFoundError:
        return


def _ticks(pid: int) -> int:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except FileNotFoundError:
        return 0
    return sum(map(int, text.rpartition(")")[2].split()[_USER:_SYSTEM_WITH_CHILDREN]))
