"""Attack the login of a running service, and count how many passwords it looked at."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from benchmarks.failure import BenchmarkFailure
from benchmarks.servers import AUTH, Server
from service.use_cases.create_user import CreateUser

_PASSWORD = "correct horse battery staple"
_TIMEOUT_SECONDS = 60
_numbers = count(1)

Guess = tuple[str, str, str]  # user, password, address


@dataclass(frozen=True, slots=True)
class Figure:
    """How often something happened in each of some repetitions, and how often it may."""

    name: str
    found: Sequence[int]
    least: int
    most: int

    @property
    def kept(self) -> bool:
        return all(self.least <= number <= self.most for number in self.found)


async def race(server: Server, create_user: CreateUser, repetitions: int, workers: int) -> Figure:
    """200 wrong guesses at once, of which five may be looked at."""
    found = [
        await _looked_at(server, [_wrong(await _user(create_user), _address())] * 200)
        for _ in range(repetitions)
    ]
    return Figure(f"200 parallel guesses, {workers} workers: looked at", found, 5, 5)


async def many_addresses(server: Server, create_user: CreateUser, repetitions: int) -> list[Figure]:
    """200 addresses against one account, whose owner signs in meanwhile and afterwards."""
    found, owner_in = [], []
    for _ in range(repetitions):
        user, home = await _user(create_user), _address()
        owner = [(user, _PASSWORD, home)]
        await _ask(server, owner)
        guesses = [_wrong(user, _address()) for _ in range(200)]
        attack, meanwhile = await asyncio.gather(_looked_at(server, guesses), _ask(server, owner))
        found.append(attack)
        owner_in.append((meanwhile + await _ask(server, owner))[200])
    return [
        Figure("200 addresses, one account: looked at", found, 0, 20),
        Figure("200 addresses, one account: logins of its owner, of 2", owner_in, 2, 2),
    ]


async def many_accounts(server: Server, create_user: CreateUser, repetitions: int) -> list[Figure]:
    """One address against 200 accounts; the owner of one of them signs in meanwhile and afterwards."""
    found, owner_in = [], []
    for _ in range(repetitions):
        user, home, stranger = await _user(create_user), _address(), _address()
        owner = [(user, _PASSWORD, home)]
        await _ask(server, owner)
        guesses = [
            _wrong(name, stranger) for name in [user, *(f"nobody {next(_numbers)}" for _ in range(199))]
        ]
        attack, meanwhile = await asyncio.gather(_looked_at(server, guesses), _ask(server, owner))
        found.append(attack)
        owner_in.append((meanwhile + await _ask(server, owner))[200])
    return [
        Figure("one address, 200 accounts: looked at", found, 0, 50),
        Figure("one address, 200 accounts: logins of an owner, of 2", owner_in, 2, 2),
    ]


async def _user(create_user: CreateUser) -> str:
    name = f"user {next(_numbers)}"
    await create_user(name, name, _PASSWORD, by="benchmark")
    return name


def _address() -> str:
    """Give an address that nobody has used yet."""
    high, low = divmod(next(_numbers), 250)
    return f"10.{high // 250}.{high % 250}.{low + 1}"


def _wrong(user: str, address: str) -> Guess:
    return user, "wrong", address


async def _looked_at(server: Server, guesses: Sequence[Guess]) -> int:
    statuses = await _ask(server, guesses)
    if statuses[401] + statuses[429] != len(guesses):
        raise BenchmarkFailure(f"Guesses were answered neither by 401 nor by 429: {dict(statuses)}")
    return statuses[401]


async def _ask(server: Server, guesses: Iterable[Guess]) -> Counter[int]:
    """Send all at once, each over a connection of its own, so that every worker gets some."""
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        return Counter(await asyncio.gather(*(_status(server.port, guess) for guess in guesses)))


async def _status(port: int, guess: Guess) -> int:
    user, password, address = guess
    body = json.dumps({"user": user, "password": password})
    head = (
        f"POST {AUTH} HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"X-Forwarded-For: {address}",
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write("".join(f"{line}\r\n" for line in (*head, "")).encode() + body.encode())
        answer = await reader.read()
    finally:
        writer.close()
    return int(answer.split(b" ", 2)[1])
