"""Clients that ask again and again, while somebody does something to the service, and what they got."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.backoffice import AUTH

_PATIENCE_SECONDS = 15.0
_PAUSE_SECONDS = 0.003


@dataclass
class Answers:
    """What was answered to whom; what was not, by why."""

    statuses: "Counter[int | str]" = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def note(self, status: int | str, began: float) -> None:
        self.statuses[status] += 1
        self.seconds.append(time.monotonic() - began)


class Asker:
    """A client that asks one thing on one connection, which it opens anew when it was told to or for each.

    If one port refuses its connection, it goes to the next, as a balancer does. Nothing else is tried again.
    """

    def __init__(
        self, ports: Sequence[int], method: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> None:
        self._ports = list(ports)
        self._method = method
        self._headers = headers
        self._body = body
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, answers: Answers) -> None:
        began = time.monotonic()
        try:
            connection = self._connected()
            connection.request(self._method, AUTH, self._body, dict(self._headers))
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            self.hang_up()
            answers.note(type(error).__name__, began)
        else:
            answers.note(response.status, began)
            if response.will_close:
                self.hang_up()

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> http.client.HTTPConnection:
        for port in tuple(self._ports):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
            try:
                connection.connect()
            except ConnectionRefusedError:
                self._ports.append(self._ports.pop(0))
            else:
                return connection
        raise ConnectionRefusedError


def seeing(ports: Sequence[int], token: str, *, keep: bool = True) -> Asker:
    """Make a client that asks who it is, on a connection that it keeps, or on one for each request."""
    headers = {"Authorization": f"Bearer {token}"} | ({} if keep else {"Connection": "close"})
    return Asker(ports, "GET", headers)


def coming(ports: Sequence[int], user: str, password: str) -> Asker:
    """Make a client that signs in."""
    body = json.dumps({"user": user, "password": password}).encode()
    return Asker(ports, "POST", {"Content-Type": "application/json", "Connection": "close"}, body)


@contextmanager
def asking(*askers: Asker) -> Iterator[Answers]:
    """Have all of them ask for the length of the block; what they got is whole after it."""
    answers, over = Answers(), threading.Event()
    threads = [threading.Thread(target=_ask, args=(asker, answers, over), daemon=True) for asker in askers]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join(2 * _PATIENCE_SECONDS)
            assert not thread.is_alive()


def _ask(asker: Asker, answers: Answers, over: threading.Event) -> None:
    while not over.wait(_PAUSE_SECONDS):
        asker.ask(answers)
    asker.hang_up()
