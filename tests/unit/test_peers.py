"""A peer is timed only if it knows good tokens and refuses the others."""

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.failure import BenchmarkFailure
from benchmarks.peers import account, table
from benchmarks.peers.catalogue import FASTIFY, PEERS
from benchmarks.peers.install import Missing, installed
from benchmarks.peers.peer import Peer
from benchmarks.peers.proving import prove
from benchmarks.servers import Server


def test_a_peer_that_keeps_its_word_is_proved() -> None:
    with _peer(flaw=None) as server:
        prove(FASTIFY, server)


@pytest.mark.parametrize(
    ("flaw", "complaint"),
    [
        ("knows nobody", "does not know a good token"),
        ("asks for no token", "answers no token with 200"),
        ("reads the beginning of a token", "answers a forged token with 200"),
        ("forgets a revocation", "answers a revoked token with 200"),
        ("revokes everything", "does not know a good token"),
        ("refuses the log-in", "answers /log_in with 401"),
    ],
)
def test_a_flaw_ends_the_benchmark(flaw: str, complaint: str) -> None:
    with _peer(flaw) as server, pytest.raises(BenchmarkFailure, match=complaint):
        prove(FASTIFY, server)


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(Missing, match="node is not installed"):
        installed(FASTIFY)


def test_the_table_for_the_readme_has_a_line_for_each_row() -> None:
    line = table.Line("somebody", rate=12345.6, cpu_us=1234.56, ratio=0.5, busy=1, looks_up="a store")

    rows = table.markdown([line]).splitlines()

    assert rows[2:] == ["| somebody | 12,346 | 1,234.6 µs | 0.50 | a store |"]


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_lock_file_names_no_index(peer: Peer) -> None:
    text = peer.lock_file.read_text()

    assert "resolved" not in text
    assert "index-url" not in text


@contextmanager
def _peer(flaw: str | None) -> Iterator[Server]:
    """Serve the endpoints of a peer on a real port, with one flaw or none."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), type("_Handler", (_Endpoints,), {"flaw": flaw}))
    listening.living = set()  # type: ignore[attr-defined]
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Server(listening.server_address[1], ())
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


class _Endpoints(BaseHTTPRequestHandler):
    flaw: str | None

    @property
    def living(self) -> set[str]:
        living: set[str] = self.server.living  # type: ignore[attr-defined]
        return living

    def do_GET(self) -> None:
        self._answer(200 if self._is_let_in() else 401, {"email": account.EMAIL})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/log_out":
            self._log_out()
        elif self.flaw == "refuses the log-in":
            self._answer(401, {})
        else:
            token = secrets.token_hex(32)
            self.living.add(token)
            self._answer(200, {"token": token})

    def log_message(self, *_: object) -> None:
        pass

    def _log_out(self) -> None:
        if self.flaw == "revokes everything":
            self.living.clear()
        elif self.flaw != "forgets a revocation":
            self.living.discard(self._token())
        self._answer(204, {})

    def _is_let_in(self) -> bool:
        token = self._token()
        if self.flaw == "asks for no token" and not token:
            return True
        if self.flaw == "reads the beginning of a token":
            return any(token and token[:20] == each[:20] for each in self.living)
        return self.flaw != "knows nobody" and token in self.living

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _answer(self, status: int, body: object) -> None:
        content = b"" if status == 204 else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
