"""Ask the operating system about processes: CPU time, memory, children, the core they keep to."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# As they were before anything was pinned: who is kept to one core must not choose for others from that one.
_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def cpu_seconds(pid: int) -> float:
    """Give the user and system time that all threads of a process have used."""
    if _PROC.exists():
        # The process's CPU clock as clock_getcpuclockid(3) names it: nanoseconds, where
        # /proc/<pid>/stat counts in hundredths of a second.
        return time.clock_gettime((~pid << 3) | 2)
    return _seconds(_output("ps", "-o", "time=", "-p", str(pid)))


def busiest_thread_seconds(pid: int, before: Mapping[int, float]) -> float:
    """Give the CPU time of the thread, the first one aside, that has used the most since `before`."""
    spent = [seconds - before.get(tid, 0.0) for tid, seconds in threads_seconds(pid).items() if tid != pid]
    return max(spent, default=0.0)


def threads_seconds(pid: int) -> dict[int, float]:
    """Give the CPU time of every thread, in hundredths of a second; only Linux tells."""
    threads = (_PROC / f"{pid}/task").glob("*/stat")
    return {int(path.parent.name): _ticks(path.read_text()) / _TICKS_PER_SECOND for path in threads}


def resident_bytes(pid: int) -> int:
    """Give the memory of a process that is not swapped out."""
    if _PROC.exists():
        return int((_PROC / f"{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return int(_output("ps", "-o", "rss=", "-p", str(pid))) * 1024


def children(pid: int) -> tuple[int, ...]:
    if _PROC.exists():
        listed = (_PROC / f"{pid}/task/{pid}/children").read_text()
    else:
        listed = _output("pgrep", "-P", str(pid))
    return tuple(int(child) for child in listed.split())


def cores() -> tuple[int, int]:
    """Choose a core for the load generator and another for the servers; the same one if there is but one."""
    return _CORES[0], _CORES[-1]


def cores_for(workers: int) -> Sequence[int]:
    """Choose a core for each of some workers if that leaves two for the load and Redis; else one for all."""
    return _CORES[-workers:] if len(_CORES) >= workers + 2 else _CORES[-1:]


@contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """Keep this process, and whatever it starts within the block, to these cores where that can be done."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _ticks(stat: str) -> int:
    """Read user and system time of proc_pid_stat(5); what stands in parentheses may hold anything."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _seconds(text: str) -> float:
    """Read `[[dd-]hh:]mm:ss.cc`."""
    days, _, clock = text.strip().rpartition("-")
    total = 0.0
    for part in clock.split(":"):
        total = total * 60 + float(part)
    return int(days or 0) * 86400 + total
