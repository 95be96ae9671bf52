"""Say who asks."""

from datetime import datetime

import msgspec


class Principal(
    msgspec.Struct,
    frozen=True,
    rename={"user_id": "uid", "version": "ver", "issued_at": "start", "expires_at": "end"},
):
    """The user behind a request and the session she speaks through, as Redis holds them.

    The session's own id is among them, so that no reply is taken for another's. Times are whole seconds of
    UTC, which as JSON text sort as they follow each other.
    """

    sid: str
    user_id: int
    version: int
    issued_at: datetime  # when the session began
    expires_at: datetime  # when it ends, unless it is refreshed
    name: str
    user: str
