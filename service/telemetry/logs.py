"""Write log lines: for people in development, one JSON object each in production."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from service.settings import Settings

# The id of the request being answered; every line of the request carries it.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


def configure(settings: Settings) -> None:
    """Send everything to standard output, where platforms and terminals look for it."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Json() if settings.production else _Plain())
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    # Sanic's own lines ("Goin' Fast", workers coming and going) say nothing that ours do not.
    for name in ("sanic.root", "sanic.server", "sanic.error", "sanic.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    given = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    current = request_id.get()
    return given if current is None else {"request_id": current, **given}


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        line = f"{at} {record.levelname.lower():7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
