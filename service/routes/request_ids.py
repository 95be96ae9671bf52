"""Give every request an id: the caller's, if it is one, else a fresh one."""

import re
from random import randbytes

from sanic import Request

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,128}")


def request_id_of(request: Request) -> str:
    given: str | None = request.headers.get("x-request-id")
    if given is not None and _ACCEPTED.fullmatch(given):
        return given
    # An id and no secret: not worth a system call. Python seeds this anew in every forked process.
    return randbytes(16).hex()
