"""Prove that the service does what it is about to be timed for."""

import http.client
import json

from benchmarks.failure import BenchmarkFailure
from benchmarks.servers import AUTH, Server
from service.security.demo import DEMO_PASSWORD, DEMO_USER
from service.use_cases.log_out import Scope
from service.wiring import UseCases


async def prove(service: Server, use_cases: UseCases) -> None:
    """Sign in, be known, sign out, be refused; raise BenchmarkFailure where an answer differs.

    Sign out through the service, then through this process: the service can hear of that one only by asking.
    """
    token = _log_in(service)
    _expect(service, 204, "DELETE", token=token)
    _expect(service, 401, "GET", token=token)
    token = _log_in(service)
    principal, _ = await use_cases.authenticate(token)
    await use_cases.log_out(principal, Scope.CURRENT)
    _expect(service, 401, "GET", token=token)


def _log_in(service: Server) -> str:
    """Return a token that the service has seen twice."""
    credentials = json.dumps({"user": DEMO_USER, "password": DEMO_PASSWORD})
    token: str = json.loads(_expect(service, 200, "POST", credentials))["token"]
    for _ in range(2):
        _expect(service, 200, "GET", token=token)
    return token


def _expect(
    service: Server, status: int, method: str, body: str | None = None, token: str | None = None
) -> bytes:
    headers = {"Content-Type": "application/json"} if body else {}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    client = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    try:
        client.request(method, AUTH, body, headers)
        answer = client.getresponse()
        content = answer.read()
    finally:
        client.close()
    if answer.status != status:
        raise BenchmarkFailure(f"{method} {AUTH}: {answer.status} instead of {status}: {content!r}")
    return content
