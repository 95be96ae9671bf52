"""Read times as they are given in options, and show them."""

import re
from datetime import UTC, datetime, timedelta

import typer

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read_time(text: str | None, option: str) -> datetime | None:
    """Read RFC 3339, or a span that is taken from now; raise BadParameter."""
    if text is None:
        return None
    if _is_span(text):
        return ago(text, option)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    # Whoever is awake in the night is not in UTC, and what she reads in a log may be.
    if time is None or time.tzinfo is None:
        raise typer.BadParameter(f"{option}: {text!r} is no time such as 2026-11-24T03:00:00Z, or 2h (ago).")
    return time


def ago(text: str | None, option: str) -> datetime | None:
    """Read a span that is taken from now; raise BadParameter."""
    if text is None:
        return None
    if not _is_span(text):
        raise typer.BadParameter(f"{option}: {text!r} is no span such as 45s, 90m, 12h or 30d.")
    return datetime.now(UTC) - timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])


def at(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _is_span(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}[smhd]", text) is not None
