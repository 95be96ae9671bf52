"""Time refused logins, one reason beside the other, as one who wants to know which accounts exist."""

import http.client
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import median

import bcrypt

from benchmarks.failure import BenchmarkFailure
from benchmarks.ranks import auc
from benchmarks.servers import AUTH, Server
from models import LoginFailures, User, fold_user
from service.security.passwords import Passwords
from service.wiring import UseCases

# Well below the failures in a row at which attempts are looked at twice.
_FAILURES_PER_ACCOUNT = 40
_WARM_UP = 50
_PASSWORD = "correct horse battery staple"
_WRONG = "correct horse battery stable"
# What is written down after an answer takes about so long, and should not slow the next one.
_PAUSE_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a login is refused: what is stored, and what is sent."""

    name: str
    stored: str | None  # None: there is no such user
    active: bool = True
    password: str = _WRONG

    def user(self, number: int) -> str:
        return f"{self.name} {number}"


@dataclass(frozen=True, slots=True)
class Told:
    """How well a reason can be told from a wrong password by its time."""

    reason: str
    cost: int
    samples: int
    median_ms: float
    auc: float
    bound: float  # the AUC may differ from a half by this

    @property
    def kept(self) -> bool:
        return abs(self.auc - 0.5) <= self.bound


def reasons(cost: int) -> list[Reason]:
    """List the reasons at a bcrypt cost; the first is the one that the others are compared with."""
    ours = Passwords(cost).hash(_PASSWORD)
    return [
        Reason("wrong", ours),
        Reason("unknown", None),
        Reason("disabled", ours, active=False, password=_PASSWORD),
        Reason("malformed hash", "$2y$10$not.a.hash"),
        Reason("imported, cheap", _imported(4)),
        Reason("imported", _imported(cost)),
        Reason("over-long", ours, password="x" * 1024),
        Reason("NUL", ours, password="correct horse\0battery staple"),
    ]


def accounts_for(samples: int) -> int:
    return -(-(samples + _WARM_UP) // _FAILURES_PER_ACCOUNT)


async def seed(use_cases: UseCases, chosen: Sequence[Reason], accounts: int) -> None:
    """Make the users, and forget what earlier runs have left behind."""
    users = [
        User(
            name=name, user=name, user_key=fold_user(name), password_hash=reason.stored, active=reason.active
        )
        for reason in chosen
        if reason.stored is not None
        for name in map(reason.user, range(accounts))
    ]

    async def work() -> None:
        await LoginFailures.all().delete()
        await User.bulk_create(users, ignore_conflicts=True)

    await use_cases.log_in.mint.database.write(work)


def measure(
    server: Server, chosen: Sequence[Reason], samples: int, seed: int
) -> Mapping[str, Sequence[float]]:
    """Time so many refusals for each reason, in milliseconds, one at a time and in a random order."""
    chance = random.Random(seed)
    turns = [count() for _ in chosen]
    accounts = accounts_for(samples)
    times: dict[str, list[float]] = {reason.name: [] for reason in chosen}
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    order = [*_shuffled(chosen, _WARM_UP, chance), *_shuffled(chosen, samples, chance)]
    try:
        for place in order:
            reason = chosen[place]
            body = json.dumps(
                {"user": reason.user(next(turns[place]) % accounts), "password": reason.password}
            )
            times[reason.name].append(_refused(client, body))
            time.sleep(_PAUSE_SECONDS)
    finally:
        client.close()
    return {name: values[_WARM_UP:] for name, values in times.items()}


def compare(times: Mapping[str, Sequence[float]], cost: int, bound: float) -> list[Told]:
    (_, yardstick), *others = times.items()
    return [
        Told(name, cost, len(values), median(values), auc(values, yardstick), bound)
        for name, values in others
    ]


def _shuffled(chosen: Sequence[Reason], each: int, chance: random.Random) -> list[int]:
    """Give an order in which every reason has its turn equally often at any time: noise is everybody's."""
    order = []
    for _ in range(each):
        order += chance.sample(range(len(chosen)), len(chosen))
    return order


def _refused(client: http.client.HTTPConnection, body: str) -> float:
    begun = time.perf_counter()
    client.request("POST", AUTH, body, {"Content-Type": "application/json"})
    answer = client.getresponse()
    content = answer.read()
    elapsed = time.perf_counter() - begun
    if answer.status != 401:
        raise BenchmarkFailure(f"A login was to be refused by 401, not {answer.status}: {content!r}")
    return elapsed * 1000


def _imported(cost: int) -> str:
    return bcrypt.hashpw(_PASSWORD.encode(), bcrypt.gensalt(cost)).decode().replace("$2b$", "$2y$")
