"""Tell of security events, under static names, without a secret in them."""

import logging
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

_log = logging.getLogger("service.security")
_SHOWN = 8

# Static, so that whoever filters by one finds all of it; docs/operations.md says what each means.
NAMES = (
    "login_ok",
    "login_refused",
    "login_blocked",
    "account_blocked",
    "account_unblocked",
    "logged_out",
    "session_ended",
    "session_revoked",
    "token_refreshed",
    "password_changed",
    "password_set",
    "user_created",
    "user_disabled",
    "user_enabled",
    "user_revoked",
    "user_renamed",
    "user_deleted",
    "users_imported",
    "pruned",
    "signing_key_changed",
)


class Event(NamedTuple):
    """Something that whoever looks into an incident wants to know.

    Never of a password, a token or a key; of a session, `short` alone; of a name nobody has, its keyed hash.
    """

    name: str
    at: datetime
    user_id: int | None = None  # whose account it is about
    account: str | None = None  # the keyed hash of the name that was tried
    network: str | None = None
    sid: str | None = None
    by: str | None = None  # the operator; None: the user herself, or whoever holds her token
    details: Mapping[str, object] = MappingProxyType({})

    def with_details(self, **details: object) -> "Event":
        return self._replace(details={**self.details, **details})


def log(event: Event) -> None:
    """Write the event as one line."""
    if _log.isEnabledFor(logging.INFO):
        _log.info(event.name, extra=_told(event))


def short(identifier: str) -> str:
    """Return enough of a session's or token's id to recognise it, and too little to use it."""
    return identifier[:_SHOWN]


def _told(event: Event) -> dict[str, object]:
    fields = (("user_id", event.user_id), ("account", event.account), ("network", event.network))
    named = (*fields, ("sid", event.sid), ("by", event.by), *event.details.items())
    return {name: value for name, value in named if value is not None}
