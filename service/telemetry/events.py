"""Tell of security events, under static names, without a secret in them."""

import logging

_log = logging.getLogger("service.security")
_SHOWN = 8


def record(name: str, **fields: object) -> None:
    """Log one event. Session and token ids must come shortened: see `short`."""
    _log.info(name, extra=fields)


def short(identifier: str) -> str:
    """Return enough of a session's or token's id to recognise it, and too little to use it."""
    return identifier[:_SHOWN]
