"""Keep a service busy through a fault, keep books, and say which promises were broken."""

import http.client
import json
import math
import random
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.backoffice import AUTH, PASSWORD
from tests.timing import assert_within, wait_until

Kind = Literal["who_am_i", "revoked", "unsure", "forged", "log_in", "wrong_password", "log_out", "refresh"]

USER = "ada"
# Tried with wrong passwords only, until it is blocked.
GUESSED = "bob"
# Another service, which may ask about tokens.
CLIENT = f"orders:{'s' * 32}"

_ALLOWED = {200, 204, 401, 429, 503}
_PAUSE_SECONDS = 0.004
_RECENT = 20
# So many sessions are left alone, for something to look at.
_FEW = 10
_CLIENT = f"Basic {b64encode(CLIENT.encode()).decode()}"
_PATIENCE_SECONDS = 15.0
# How long a token lives that Redis was told is revoked, lost again, and no other process has heard of yet.
LOST_AT_ONCE_SECONDS = 0.5


@dataclass(frozen=True)
class Answer:
    """One answer: its status (0: the connection broke), when it was asked for, and how long that took."""

    status: int
    body: Mapping[str, Any]
    retry_after: str | None
    asked_at: float
    seconds: float


class Caller:
    """An HTTP client of one instance, on one connection that is opened anew when it breaks."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)

    def close(self) -> None:
        self._connection.close()

    def log_in(self, user: str = USER, password: str = PASSWORD) -> Answer:
        return self._ask("POST", AUTH, body={"user": user, "password": password})

    def who_am_i(self, token: str) -> Answer:
        return self._ask("GET", AUTH, token)

    def log_out(self, token: str) -> Answer:
        return self._ask("DELETE", AUTH, token)

    def refresh(self, token: str) -> Answer:
        return self._ask("POST", f"{AUTH}/refresh", token)

    def sessions(self, token: str) -> Answer:
        return self._ask("GET", f"{AUTH}/sessions", token)

    def verify(self, token: str) -> Answer:
        return self._ask("GET", f"{AUTH}/verify", token)

    def introspect(self, token: str) -> Answer:
        return self._ask("POST", f"{AUTH}/introspect", body={"token": token}, authorization=_CLIENT)

    def revoke(self, token: str) -> Answer:
        return self._ask("POST", f"{AUTH}/revoke", body={"token": token}, authorization=_CLIENT)

    def change_password(self, token: str, current: str, new: str) -> Answer:
        return self._ask("PUT", f"{AUTH}/password", token, {"current_password": current, "password": new})

    def token(self) -> str:
        answer = self.log_in()
        assert answer.status == 200, answer
        return str(answer.body["token"])

    def _ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: Mapping[str, str] | None = None,
        authorization: str | None = None,
    ) -> Answer:
        headers = {"Content-Type": "application/json"}
        if token is not None:
            authorization = f"Bearer {token}"
        if authorization is not None:
            headers["Authorization"] = authorization
        asked_at = time.monotonic()
        try:
            self._connection.request(method, path, json.dumps(body) if body else None, headers)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return Answer(0, {}, None, asked_at, time.monotonic() - asked_at)
        seconds = time.monotonic() - asked_at
        retry_after = response.headers.get("Retry-After")
        return Answer(response.status, json.loads(text) if text else {}, retry_after, asked_at, seconds)


@dataclass
class Session:
    """What the books say of a session.

    Between "alive" and "revoked" nobody can tell: its logout is on its way, or was not confirmed; "gone" is
    one whose second logout found that the first had worked.
    """

    token: str
    state: Literal["alive", "leaving", "unconfirmed", "revoked", "gone"] = "alive"
    revoked_at: float = 0.0  # when the acknowledgement had arrived


@dataclass
class Books:
    """Every session that was opened, what was answered, and every answer that no promise allows."""

    grace_seconds: float
    sessions: list[Session] = field(default_factory=list)
    answers: dict[Kind, list[Answer]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    _claiming: threading.Lock = field(default_factory=threading.Lock)

    def alive(self) -> list[Session]:
        return [session for session in self.sessions if session.state == "alive"]

    def revoked(self) -> list[Session]:
        return [session for session in self.sessions if session.state == "revoked"]

    def unconfirmed(self) -> list[Session]:
        return [session for session in self.sessions if session.state == "unconfirmed"]

    def claim(self, session: Session) -> str | None:
        """Make a session the caller's to end, and return its state; None if somebody else was faster."""
        with self._claiming:
            before = session.state
            if before not in {"alive", "unconfirmed"}:
                return None
            session.state = "leaving"
            return before

    def statuses(self, kind: Kind, during: tuple[float, float] = (0.0, math.inf)) -> Counter[int]:
        """Count the statuses of what was asked and answered between two moments."""
        begin, end = during
        answers = self.answers.get(kind, ())
        return Counter(a.status for a in answers if begin <= a.asked_at and a.asked_at + a.seconds <= end)

    def slowest(self) -> float:
        return max(answer.seconds for answers in self.answers.values() for answer in answers)

    def note(self, kind: Kind, answer: Answer) -> None:
        self.answers.setdefault(kind, []).append(answer)
        if answer.status not in _ALLOWED:
            self.broken.append(f"{kind} was answered {answer.status or 'by the end of its connection'}")
        if answer.status == 503 and not answer.retry_after:
            self.broken.append(f"{kind} was answered 503 without Retry-After")

    def opened(self, answer: Answer) -> None:
        if answer.status == 200:
            self.sessions.append(Session(answer.body["token"]))

    def note_sight(self, session: Session, before: str, answer: Answer) -> None:
        """Judge who-am-I by what was known of the session before the question and after the answer."""
        if before == "revoked":
            self.note("revoked", answer)
            age = answer.asked_at - session.revoked_at
            if answer.status == 200 and age > self.grace_seconds:
                self.broken.append(f"a revoked token was accepted, {age:.2f} s after its logout")
        else:
            self.note_alive("who_am_i", session, before, answer)

    def note_alive(self, kind: Kind, session: Session, before: str, answer: Answer) -> None:
        """Note what a session was answered that was alive before the question; it may have ended since."""
        alive = before == session.state == "alive"
        self.note(kind if alive else "unsure", answer)
        if alive and answer.status == 401:
            self.broken.append(f"a living session was lost: {kind} was answered 401")

    def note_logout(self, session: Session, before: str, answer: Answer) -> None:
        self.note("log_out", answer)
        if answer.status == 204:
            session.revoked_at = time.monotonic()
            session.state = "revoked"
        elif answer.status == 401:
            session.state = "gone"
            if before == "alive":
                self.broken.append("a living session was lost: its logout was answered 401")
        else:
            session.state = "unconfirmed"

    def note_never(self, kind: Kind, answer: Answer) -> None:
        self.note(kind, answer)
        if answer.status in {200, 204}:
            self.broken.append(f"{kind}: accepted")

    def __str__(self) -> str:
        lines = [f"{kind}: {dict(self.statuses(kind))}" for kind in sorted(self.answers)]
        broken = [f"{count} x {promise}" for promise, count in Counter(self.broken).most_common(6)]
        return "\n".join(["", *broken, *lines, f"slowest {self.slowest():.2f} s"])


class Traffic:
    """Clients of the instances: for each one that looks, one that comes, one that goes, one that stays in."""

    def __init__(self, ports: Sequence[int], *, grace_seconds: float = 0.0) -> None:
        self.books = Books(grace_seconds)
        self._ports = ports
        self._dice = random.Random(1)
        self._comes_in = True
        self._out_of_service: set[int] = set()
        self._at_work = Counter[int]()  # how many threads are asking an instance something
        self._going_in = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def prepare(self, alive: int = 16, revoked: int = 8) -> None:
        """Open sessions on all instances, and sign out of some of them through another one."""
        callers = [Caller(port) for port in self._ports]
        for number in range(alive + revoked):
            self.books.opened(callers[number % len(callers)].log_in())
        for number, session in enumerate(self.books.alive()[:revoked]):
            self._log_out(callers[(number + 1) % len(callers)], session)
        for caller in callers:
            caller.close()
        assert len(self.books.alive()) == alive, "no session could be opened before the fault"
        assert len(self.books.revoked()) == revoked, "no logout was acknowledged before the fault"

    def start(self) -> None:
        for port in self._ports:
            for behave in (self._look, self._come, self._guess, self._go, self._stay_in):
                thread = threading.Thread(target=self._run, args=(port, behave), daemon=True)
                self._threads.append(thread)
                thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS)
            assert not thread.is_alive()

    def spare(self, port: int) -> None:
        """Send an instance nothing new, as a load balancer does before a restart."""
        with self._going_in:
            self._out_of_service.add(port)
        # Whoever is in the middle of something ends it.
        wait_until(lambda: not self._at_work[port], _PATIENCE_SECONDS)

    def resume(self, port: int) -> None:
        self._out_of_service.discard(port)

    def look_at_all(self) -> None:
        """Ask every instance for every session in the books."""
        for port in self._ports:
            caller = Caller(port)
            for session in tuple(self.books.sessions):
                self._see(caller, session)
            caller.close()

    def _run(self, port: int, behave: Callable[[Caller], None]) -> None:
        caller = Caller(port)
        while not self._stop.is_set():
            with self._going_in:
                welcome = port not in self._out_of_service
                self._at_work[port] += welcome
            if welcome:
                behave(caller)
                with self._going_in:
                    self._at_work[port] -= 1
            else:
                caller.close()
            self._stop.wait(_PAUSE_SECONDS)
        caller.close()

    def _look(self, caller: Caller) -> None:
        alive, revoked = self.books.alive(), self.books.revoked()
        for choice in (alive, revoked, revoked[-_RECENT:]):
            if choice:
                self._see(caller, self._dice.choice(choice))
        if alive:
            self.books.note_never("forged", caller.who_am_i(_forged(self._dice.choice(alive).token)))

    def _come(self, caller: Caller) -> None:
        answer = caller.log_in()
        self.books.note("log_in", answer)
        self.books.opened(answer)
        self._comes_in = answer.status == 200

    def _guess(self, caller: Caller) -> None:
        self.books.note_never("wrong_password", caller.log_in(GUESSED, "wrong"))

    def _go(self, caller: Caller) -> None:
        for again in self.books.unconfirmed()[:1]:
            self._log_out(caller, again)
        alive = self.books.alive()
        # Somebody must be left to go when nobody can come.
        if len(alive) > (_FEW if self._comes_in else _FEW // 2):
            self._log_out(caller, self._dice.choice(alive))

    def _stay_in(self, caller: Caller) -> None:
        alive = self.books.alive()
        if not alive:
            return
        session = self._dice.choice(alive)
        before = session.state
        answer = caller.refresh(session.token)
        self.books.note_alive("refresh", session, before, answer)
        if answer.status == 200:
            session.token = answer.body["token"]

    def _see(self, caller: Caller, session: Session) -> None:
        before = session.state
        self.books.note_sight(session, before, caller.who_am_i(session.token))

    def _log_out(self, caller: Caller, session: Session) -> None:
        if before := self.books.claim(session):
            self.books.note_logout(session, before, caller.log_out(session.token))


@contextmanager
def traffic(ports: Sequence[int], *, grace_seconds: float = 0.0) -> Iterator[Traffic]:
    """Keep traffic on for the length of the block; then ask once more for every session in the books."""
    running = Traffic(ports, grace_seconds=grace_seconds)
    running.prepare()
    running.start()
    try:
        yield running
    finally:
        running.stop()
    running.look_at_all()


def assert_kept(books: Books, *, within: float) -> None:
    """No promise was broken: living sessions were served, revoked ones refused, every answer in time."""
    refused = {200, 401} if books.grace_seconds else {401}
    kept = (
        not books.broken
        and set(books.statuses("who_am_i")) == {200}
        and set(books.statuses("revoked")) <= refused
        and set(books.statuses("forged")) == {401}
    )
    assert kept, str(books)
    assert_within(within, books.slowest(), books)


def _forged(token: str) -> str:
    header, payload, signature = token.split(".")
    return f"{header}.{payload}.{signature[::-1]}"
