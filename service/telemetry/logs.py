"""Write log lines: for people in development, one JSON object each in production."""

import json
import logging
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from service.settings import Settings

# The id of the request being answered; every line of the request carries it.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


_encode = json.JSONEncoder(default=str).encode


def configure(settings: Settings) -> None:
    """Send everything to standard output, where platforms and terminals look for it."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Json() if settings.production else _Plain())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # Our lines name neither; it is half of what a line costs to find out, says the manual:
    # https://docs.python.org/3/howto/logging.html#optimization
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001
    # LOG_LEVEL is for our own lines. The libraries' say nothing that ours do not ("Goin' Fast"), or too much:
    # aiosqlite's of level DEBUG hold every statement with its values, hashes of passwords among them.
    logging.getLogger("service").setLevel(settings.log_level)
    for name in ("sanic.root", "sanic.server", "sanic.error", "sanic.access", "tortoise"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    logging.getLogger("sanic.error").addFilter(_names_no_path)


def configure_for_a_command(settings: Settings) -> None:
    """Let a command say what it has to say, and nothing else; with LOG_LEVEL=DEBUG also the warnings."""
    chosen: logging.Handler = logging.NullHandler()
    if settings.log_level == "DEBUG":
        chosen = logging.StreamHandler(sys.stderr)
        chosen.setFormatter(_Plain())
    logging.basicConfig(handlers=[chosen], level=logging.WARNING, force=True)


def _names_no_path(record: logging.LogRecord) -> bool:
    """Whether it is not Sanic's line about an unread body: a gateway's path may hold a caller's secrets."""
    return not record.getMessage().endswith("body not consumed.")


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
        return _encode(line)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{at} {record.levelname.lower():7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
