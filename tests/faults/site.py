"""A whole site: a database, a Redis, and instances of the service that each have a way of their own to it."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.stores import keys
from service.stores.sessions import TOMBSTONE
from tests.backoffice import claims_of
from tests.faults.proxy import Proxy
from tests.faults.servers import RedisServer
from tests.faults.traffic import CLIENT, Books, Caller, Traffic, traffic
from tests.process.running import SERVICE, RunningService, clean_env, free_port, starting, wait_until_up
from tests.timing import seconds_until

_UP_SECONDS = 15.0
SECRET = secrets.token_urlsafe(48)
# As long as a store is waited for where nobody sets it: what is promised of outages is promised of these.
SHIPPED = {"REDIS_TIMEOUT": "250ms", "DATABASE_TIMEOUT": "1s"}
NO_LIMITS = {"LIMIT_LOGIN": "0", "LIMIT_LOGIN_ACCOUNT": "0", "LIMIT_LOGIN_NETWORK": "0", "LIMIT_NETWORK": "0"}


@dataclass(frozen=True)
class Site:
    redis: RedisServer
    ways: Sequence[Proxy]  # from each instance to Redis
    instances: list[RunningService]
    callers: Sequence[Caller]  # one for each instance
    _running: Sequence[ExitStack]

    @property
    def ports(self) -> list[int]:
        return [port_of(instance) for instance in self.instances]

    def traffic(self, *, grace_seconds: float = 0.0) -> AbstractContextManager[Traffic]:
        return traffic(self.ports, grace_seconds=grace_seconds)

    def restart(self, number: int, **env: str) -> None:
        """Stop an instance as a platform does, and start it with other settings."""
        self.callers[number].close()
        self._running[number].close()
        settings = {**self.instances[number].env, **env}
        again = starting(SERVICE, self.instances[number].data_dir, settings)
        self.instances[number] = self._running[number].enter_context(again)
        wait_until_up(self.instances[number], _UP_SECONDS)

    def said(self, event: str) -> list[int]:
        """Count how often each instance logged an event."""
        return [instance.log().count(f" {event}") for instance in self.instances]

    def recovered_in(self, seconds: float, redis: RedisServer | None = None) -> float:
        """Return how long it takes until every instance writes to Redis again; at most the seconds given."""
        return seconds_until(
            lambda: all(writes_to(redis or self.redis, caller) for caller in self.callers), seconds
        )


def writes_to(redis: RedisServer, caller: Caller) -> bool:
    """Whether a login through the caller's instance arrives in a Redis."""
    answer = caller.log_in()
    return answer.status == 200 and copy_in(redis, answer.body["token"]) is not None


def copy_in(redis: RedisServer, token: str) -> str | None:
    """Read what a Redis holds of a token's session."""
    copy = redis.client.get(copy_key(token))
    return None if copy is None else str(copy)


def copy_key(token: str) -> str:
    claims = claims_of(token)
    return keys.session(int(claims["sub"]), claims["sid"])


def vouched_for(redis: RedisServer, books: Books) -> int:
    """Count the revoked sessions that a Redis holds to be alive."""
    copies = redis.client.mget([copy_key(session.token) for session in books.revoked()])
    return sum(copy not in {None, TOMBSTONE} for copy in copies)


def port_of(instance: RunningService) -> int:
    return int(instance.env["PORT"])


@contextmanager
def site(
    directories: Callable[[], Path],
    redis: RedisServer,
    database_url: str,
    *each: Mapping[str, str],
    **env: str,
) -> Iterator[Site]:
    """Keep instances of the service running for the length of the block, one for each environment."""
    with ExitStack() as stack:
        ways = [stack.enter_context(Proxy(redis.port)) for _ in each]
        running = [stack.enter_context(ExitStack()) for _ in each]
        services = []
        for way, alive, own in zip(ways, running, each, strict=True):
            stores = {"DATABASE_URL": database_url, "REDIS_URL": f"redis://127.0.0.1:{way.port}/0"}
            services.append(alive.enter_context(instance(directories(), **{**stores, **env, **own})))
        for service in services:
            wait_until_up(service, _UP_SECONDS)
        callers = [stack.enter_context(closing(Caller(port_of(service)))) for service in services]
        yield Site(redis, ways, services, callers, running)


def instance(directory: Path, **env: str) -> AbstractContextManager[RunningService]:
    """Start one instance of one worker; it is not up yet."""
    settings = {
        **SHIPPED,
        "PORT": str(free_port()),
        "WEB_CONCURRENCY": "1",
        "DOCS": "0",
        "CLIENTS": CLIENT,
        **NO_LIMITS,
    } | env
    if "JWT_KEYS" not in settings:
        settings["JWT_SECRET"] = SECRET
    return starting(SERVICE, directory, clean_env(directory, **settings))
