"""Whatever clients and operators do, nothing stays in Redis for ever."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import Refusal
from service.settings import Rate
from service.stores.pipeline import Pipeline
from tests.backoffice import PASSWORD, claims_of
from tests.conftest import Running, Start

PROFILE = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
USERS = ["causas", "mallory", "nobody"]
PASSWORDS = [PASSWORD, PASSWORD, "another horse, another battery", "wrong"]
ADDRESSES = ["203.0.113.7", "198.51.100.7", "2001:db8:1:1::1", "2001:db8:1:2::1", "junk"]
SCOPES = [None, "current", "others", "all", "nonsense"]
PATHS = ["/docs", "/docs/openapi.json", "/nothing", "/health/ready", "/v1/backoffice/auth/nothing"]
# So slow that what is charged can be seen for a while.
RATE = Rate(1, timedelta(minutes=1), burst=1000)
FOR_EVER = -1


class Fuzzer:
    """Does something at random, with the tokens that it was given before."""

    def __init__(self, service: Running, chance: random.Random) -> None:
        self.service, self.client, self.chance = service, service.client, chance
        self.tokens = ["no.token.atall"]

    async def do_something(self) -> None:
        doings: list[Callable[[], Awaitable[object]]] = [
            self.log_in,
            self.log_in,
            self.log_in,
            self.refresh,
            self.log_out,
            self.change_password,
            self.end_a_session,
            self.ask,
            self.ask,
            self.operate,
        ]
        await self.chance.choice(doings)()

    async def log_in(self) -> None:
        headers = {"X-Forwarded-For": self.chance.choice(ADDRESSES)}
        answer = await self.client.log_in(self.chance.choice(USERS), self.chance.choice(PASSWORDS), headers)
        self.keep(answer.json())

    async def refresh(self) -> None:
        self.keep((await self.client.refresh(self.token())).json())

    async def log_out(self) -> None:
        await self.client.log_out(self.token(), self.chance.choice(SCOPES))

    async def change_password(self) -> None:
        old, new = self.chance.choice(PASSWORDS), self.chance.choice(PASSWORDS)
        self.keep((await self.client.change_password(self.token(), old, new)).json())

    async def end_a_session(self) -> None:
        await self.client.sessions(self.token())
        if len(self.tokens) > 1:
            sid = claims_of(self.chance.choice(self.tokens[1:]))["sid"]
            await self.client.end_session(self.token(), sid)

    async def ask(self) -> None:
        await self.client.who_am_i(self.token())
        await self.client.request("GET", self.chance.choice(PATHS))

    async def operate(self) -> None:
        do, user = self.service.use_cases, self.chance.choice(USERS[:2])
        doings: list[Callable[[], Awaitable[object]]] = [
            lambda: self.service.revoke(user),
            lambda: do.disable_user(user, by="test"),
            lambda: do.enable_user(user, by="test"),
            lambda: do.set_password(user, PASSWORD, by="test"),
            lambda: do.unblock_login(user, by="test"),
            lambda: do.explain_login(user, None),
        ]
        await self.chance.choice(doings)()

    def token(self) -> str:
        return self.chance.choice(self.tokens)

    def keep(self, body: dict[str, str]) -> None:
        if "token" in body:
            self.tokens.append(body["token"])


def test_every_key_has_an_end(loop: asyncio.AbstractEventLoop, start: Start, own_redis: str) -> None:
    service: Running = loop.run_until_complete(
        start(redis_url=own_redis, trusted_proxy_hops=1, limit_session=RATE, limit_network=RATE)
    )
    for user in USERS[:2]:
        loop.run_until_complete(service.use_cases.create_user(user, user, PASSWORD, by="test"))
    redis = Pipeline.connect(own_redis, timedelta(seconds=5))
    kinds: set[str] = set()

    @PROFILE
    @given(st.randoms(use_true_random=False), st.integers(5, 40))
    def fuzz(chance: random.Random, steps: int) -> None:
        loop.run_until_complete(begin_anew(service, redis))
        loop.run_until_complete(play(Fuzzer(service, chance), steps))
        ends = loop.run_until_complete(ends_of_all_keys(redis))
        kinds.update(kind(key) for key in ends)
        assert {key: end for key, end in ends.items() if end == FOR_EVER} == {}

    fuzz()
    loop.run_until_complete(redis.close())
    assert kinds == {"{u} s", "{u} v", "{u} r", "{n} r", "{lg} p", "{lg} a", "{lg} i"}


async def begin_anew(service: Running, redis: Pipeline) -> None:
    await redis.execute("FLUSHALL")
    for user in USERS[:2]:
        await service.use_cases.enable_user(user, by="test")
        await service.use_cases.set_password(user, PASSWORD, by="test")


async def play(fuzzer: Fuzzer, steps: int) -> None:
    for _ in range(steps):
        try:
            await fuzzer.do_something()
        except Refusal:
            continue  # what an operator asked for was not possible


async def ends_of_all_keys(redis: Pipeline) -> dict[str, int]:
    keys = await redis.execute("KEYS", "*")
    return {key: await redis.execute("PTTL", key) for key in keys}


def kind(key: str) -> str:
    """Give the part of a key's name that says what it is: `{u} s` for a session of a user."""
    tag, _, rest = key.removeprefix("bo:{").partition("}:")
    return f"{{{tag.partition(':')[0]}}} {rest.partition(':')[0]}"
