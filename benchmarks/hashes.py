"""Hash and do nothing else: the yardstick of logins, run as `python -m benchmarks.hashes COST SECONDS`."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import bcrypt

from benchmarks import processes

_PASSWORD = b"correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Hashes:
    rate: float  # per second
    cpu_us: float  # of one


def hashes(core: int, cost: int, seconds: float) -> Hashes:
    """Hash on one core, in a process and a session of its own as a service has."""
    program = [sys.executable, "-m", "benchmarks.hashes", str(cost), str(seconds)]
    with processes.pinned(core):
        done = subprocess.run(program, stdout=subprocess.PIPE, check=True, start_new_session=True)
    return Hashes(**json.loads(done.stdout))


def _hash(cost: int, seconds: float) -> Hashes:
    salt, count = bcrypt.gensalt(cost), 0
    cpu_before, before = time.process_time(), time.perf_counter()
    while (wall := time.perf_counter() - before) < seconds:
        bcrypt.hashpw(_PASSWORD, salt)
        count += 1
    return Hashes(count / wall, (time.process_time() - cpu_before) / count * 1e6)


if __name__ == "__main__":
    print(json.dumps(asdict(_hash(int(sys.argv[1]), float(sys.argv[2])))))
