"""Prove that a peer does what it is about to be timed for."""

import http.client
import json

from benchmarks.failure import BenchmarkFailure
from benchmarks.peers import account
from benchmarks.peers.peer import Call, Peer
from benchmarks.servers import AUTH, Server


def prove(peer: Peer, server: Server) -> None:
    """Sign in twice, be known, sign out once, be refused; raise BenchmarkFailure where an answer differs."""
    if peer.register is not None:
        _post(peer, server, peer.register)
    ended, kept = sign_in(peer, server), sign_in(peer, server)
    for token in (ended, kept, ended, kept):
        _known(peer, server, token)
    _refused(peer, server, "no token", None)
    _refused(peer, server, "a forged token", _forged(kept))
    _post(peer, server, peer.log_out, ended)
    _refused(peer, server, "a revoked token", ended)
    _known(peer, server, kept)


def sign_in(peer: Peer, server: Server) -> str:
    """Return a new token."""
    headers, content = _post(peer, server, peer.log_in)
    token: str = headers.get(peer.token) or json.loads(content)[peer.token]
    return token


def _known(peer: Peer, server: Server, token: str) -> None:
    status, _, content = _ask(server, "GET", Call(AUTH), token)
    if status != 200 or account.EMAIL.encode() not in content:
        raise BenchmarkFailure(f"{peer.name} does not know a good token: {status} {content!r}")


def _refused(peer: Peer, server: Server, what: str, token: str | None) -> None:
    status, _, content = _ask(server, "GET", Call(AUTH), token)
    if status != 401:
        raise BenchmarkFailure(f"{peer.name} answers {what} with {status}: {content!r}")


def _forged(token: str) -> str:
    """Change one character near the end; not the last, of which some bits may mean nothing."""
    at = len(token) - 10
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


def _post(
    peer: Peer, server: Server, call: Call, token: str | None = None
) -> tuple[http.client.HTTPMessage, bytes]:
    status, headers, content = _ask(server, "POST", call, token)
    if status not in {200, 201, 204}:
        raise BenchmarkFailure(f"{peer.name} answers {call.path} with {status}: {content!r}")
    return headers, content


def _ask(
    server: Server, method: str, call: Call, token: str | None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    headers = {"Accept": "application/json"}
    if call.body:
        headers["Content-Type"] = call.content_type
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        client.request(method, call.path, call.body or None, headers)
        answer = client.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        client.close()
