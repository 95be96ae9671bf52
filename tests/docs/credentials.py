"""Give the requests of schemathesis the credentials that they need; it runs in an environment of its own."""

import os
from base64 import b64encode
from typing import Any

import requests
import schemathesis

_URL = os.environ["SERVICE_URL"]
_CLIENT = os.environ["CLIENTS"]
# The second is what the example of a change of password leaves behind.
_PASSWORDS = ("causas123", "correct horse battery staple")
_PATIENCE_SECONDS = 10


class Bearer:
    """A token of a fresh login for every request: many of them end the session of the one before."""

    def get(self, _case: Any, _context: Any) -> str:
        answers = (_log_in(password) for password in _PASSWORDS)
        return next(str(answer.json()["token"]) for answer in answers if answer.ok)

    def set(self, case: Any, token: str, _context: Any) -> None:
        case.headers["Authorization"] = f"Bearer {token}"


class Basic:
    """The id and secret of another service."""

    def get(self, _case: Any, _context: Any) -> str:
        return b64encode(_CLIENT.encode()).decode()

    def set(self, case: Any, encoded: str, _context: Any) -> None:
        case.headers["Authorization"] = f"Basic {encoded}"


def _log_in(password: str) -> requests.Response:
    body = {"user": "causas", "password": password}
    return requests.post(f"{_URL}/v1/backoffice/auth", json=body, timeout=_PATIENCE_SECONDS)


def _asked_for(scheme: str) -> Any:
    """Choose the operations that want credentials of that scheme."""
    return lambda context: {scheme: []} in context.operation.definition.raw["security"]


for _scheme, _provider in {"bearerAuth": Bearer, "basicAuth": Basic}.items():
    schemathesis.auth(refresh_interval=None).apply_to(_asked_for(_scheme))(_provider)


def _page(_context: Any, response: Any) -> str:
    return str(response.content.decode())


schemathesis.deserializer("text/html")(_page)
