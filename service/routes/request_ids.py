"""Give every request an id: the caller's, if it is one, else a fresh one."""

import re
import secrets

from sanic import Request

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,128}")


def request_id_of(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    return given if _ACCEPTED.fullmatch(given) else secrets.token_hex(16)
