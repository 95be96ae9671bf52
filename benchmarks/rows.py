"""Name the requests that are measured over keep-alive connections, and what is promised of them."""

import json
from collections.abc import Iterable
from itertools import cycle, islice, repeat

from benchmarks.measure import CONNECTIONS, Row
from benchmarks.result import Bound, at_least
from benchmarks.servers import AUTH, Server

WARM = "token check, warm"
WARM_BOUND = at_least(0.70)
FIRST_SIGHT_BOUND = at_least(0.40)


def yardstick(empty: Server, token: str) -> Row:
    """Measure the empty handler. It gets the requests of the service, so that it reads the same headers."""
    return Row("empty Sanic handler", empty, lambda: repeat(who_am_i(token)))


def warm(
    service: Server,
    tokens: Iterable[str],
    bound: Bound | None = None,
    name: str = WARM,
    connections: int = CONNECTIONS,
) -> Row:
    """Measure requests with tokens that the service has seen before."""
    requests = [who_am_i(token) for token in tokens]
    return Row(name, service, lambda: cycle(requests), bound, connections)


def first_sight(service: Server, tokens: Iterable[str], per_round: int) -> Row:
    """Measure requests with tokens that are sent once and never again."""
    requests = (who_am_i(token) for token in tokens)
    return Row(
        "token check, first sight",
        service,
        lambda: list(islice(requests, per_round)),
        FIRST_SIGHT_BOUND,
    )


def who_am_i(token: str) -> bytes:
    return _lines(f"GET {AUTH} HTTP/1.1", f"Authorization: Bearer {token}")


def log_in(user: str, password: str) -> bytes:
    body = json.dumps({"user": user, "password": password}).encode()
    length = f"Content-Length: {len(body)}"
    return _lines(f"POST {AUTH} HTTP/1.1", "Content-Type: application/json", length) + body


def _lines(first: str, *headers: str) -> bytes:
    always = ("Host: 127.0.0.1", "Accept: application/json", "User-Agent: benchmark")
    return "".join(f"{line}\r\n" for line in (first, *always, *headers, "")).encode()
