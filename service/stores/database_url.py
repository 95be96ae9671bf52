"""Translate DATABASE_URL, as platforms write it, into what Tortoise and asyncpg take."""

import ssl
from datetime import timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from service.settings import SettingsError

Query = dict[str, str]

# How long SQLite waits for another process's write. Reads queue behind it, so it is short.
_SQLITE_BUSY_MS = 200
# The modes of libpq: https://www.postgresql.org/docs/current/libpq-ssl.html
_MAYBE_ENCRYPTED = ("disable", "allow", "prefer")
_ENCRYPTED = ("require", "verify-ca", "verify-full")
_FILES = ("sslrootcert", "sslcert", "sslkey")
_CHOICES = {
    "sslmode": _MAYBE_ENCRYPTED + _ENCRYPTED,
    "channel_binding": ("disable", "prefer", "require"),
    "pgbouncer": ("true", "false"),
    "target_session_attrs": (
        "any",
        "primary",
        "standby",
        "read-write",
        "read-only",
        "prefer-standby",
    ),
}
_KNOWN = (*_CHOICES, *_FILES, "host", "application_name", "options", "connect_timeout")


def connection(url: str, timeout: timedelta) -> dict[str, Any]:
    """Translate a database URL into Tortoise's connection settings, or raise SettingsError.

    Tortoise's own reading of URLs leaves percent-encoding in user names, takes `sslmode` for an unknown
    argument and `ssl=false` for true.
    """
    if url.startswith("sqlite:"):
        pragmas = {"journal_mode": "WAL", "synchronous": "FULL", "busy_timeout": _SQLITE_BUSY_MS}
        return {
            "engine": "tortoise.backends.sqlite",
            "credentials": {"file_path": url.removeprefix("sqlite://"), **pragmas},
        }
    # Otherwise the pool asks PostgreSQL to forget what a connection was set to, after each use: a tenth of a
    # login. Ours are set to nothing; a transaction left open is rolled back all the same.
    pool = postgres_credentials(url, timeout) | {"reset": _leave_as_it_is}
    return {"engine": "tortoise.backends.asyncpg", "credentials": pool}


async def _leave_as_it_is(_connection: object) -> None:
    pass


def postgres_credentials(url: str, timeout: timedelta) -> dict[str, Any]:
    """Translate a postgres:// URL into the arguments of `asyncpg.connect`, time-outs included."""
    parts = urlsplit(url)
    query = _query(parts)
    return {
        **_address(parts, query),
        "ssl": _encryption(query),
        "server_settings": _server_settings(query),
        "timeout": min(timeout, _connect_timeout(query)).total_seconds(),
        "command_timeout": timeout.total_seconds(),
        **_pooling(query),
    }


def is_remote(url: str) -> bool:
    """Whether a database or Redis URL names a server that is reached over a network."""
    parts = urlsplit(url)
    if parts.scheme in {"sqlite", "unix"}:
        return False
    addresses = parts.netloc.rpartition("@")[2].split(",")
    return not all(_is_loopback(urlsplit(f"//{address}").hostname) for address in addresses)


def _is_loopback(host: str | None) -> bool:
    try:
        return host in {None, "localhost"} or ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _query(parts: SplitResult) -> Query:
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    for name, value in query.items():
        if name not in _KNOWN:
            raise SettingsError(f"DATABASE_URL: {name} is unknown; known are {', '.join(sorted(_KNOWN))}.")
        if value not in _CHOICES.get(name, (value,)):
            raise SettingsError(f"DATABASE_URL: {name} must be one of {', '.join(_CHOICES[name])}.")
    return query


def _address(parts: SplitResult, query: Query) -> dict[str, Any]:
    if "," in parts.netloc.rpartition("@")[2]:
        raise SettingsError("DATABASE_URL names more than one host: name the one that takes writes.")
    return {
        "host": unquote(parts.hostname) if parts.hostname else query.get("host"),
        "port": parts.port or 5432,
        "user": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "database": unquote(parts.path.lstrip("/")) or None,
    }


def _encryption(query: Query) -> ssl.SSLContext | str:
    """Give a context that holds the server to the mode, or the mode itself where plain text may do."""
    mode = _mode(query)
    if mode in _ENCRYPTED:
        return _context(mode, query)
    if given := [name for name in _FILES if name in query]:
        raise SettingsError(
            f"DATABASE_URL: {given[0]} says nothing unless sslmode is one of {', '.join(_ENCRYPTED)}."
        )
    return mode


def _mode(query: Query) -> str:
    mode = query.get("sslmode", "prefer")
    if query.get("channel_binding") != "require":
        return mode
    if mode == "disable":
        raise SettingsError("DATABASE_URL: channel_binding=require cannot be had with sslmode=disable.")
    # The driver cannot bind to the channel. What that is for, to be sure that nobody stands between, the
    # server's certificate proves as well: see docs/decisions/0020.
    return "verify-full"


def _context(mode: str, query: Query) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify-full"
    # libpq takes `require` with a root certificate for `verify-ca`.
    if mode == "require" and "sslrootcert" not in query:
        context.verify_mode = ssl.CERT_NONE
    try:
        _load_roots(context, query.get("sslrootcert", "system"))
        if "sslcert" in query:
            context.load_cert_chain(query["sslcert"], query.get("sslkey"))
    except OSError as error:  # ssl.SSLError is one
        named = ", ".join(query[name] for name in _FILES if name in query)
        raise SettingsError(f"DATABASE_URL: a certificate cannot be read ({named}): {error}.") from error
    return context


def _load_roots(context: ssl.SSLContext, roots: str) -> None:
    if roots == "system":
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile=roots)


def _server_settings(query: Query) -> dict[str, str]:
    named = {"application_name": query.get("application_name", "backoffice")}
    return named | ({"options": query["options"]} if "options" in query else {})


def _connect_timeout(query: Query) -> timedelta:
    """Read seconds, of which 0 is no limit; longer than DATABASE_TIMEOUT nobody waits in any case."""
    value = query.get("connect_timeout", "0")
    if not value.isascii() or not value.isdigit():
        raise SettingsError("DATABASE_URL: connect_timeout must be a number of seconds.")
    return timedelta(seconds=int(value[:9])) or timedelta.max


def _pooling(query: Query) -> dict[str, Any]:
    # A pooler that changes servers between transactions knows no statement that was prepared on another.
    pooled = {"statement_cache_size": 0} if query.get("pgbouncer") == "true" else {}
    attributes = query.get("target_session_attrs")
    return pooled | ({"target_session_attrs": attributes} if attributes else {})
