"""Connect to Redis as its URL says: one server, the primary that Sentinels name, or a Cluster."""
# mypy: untyped-calls-exclude="redis"

from datetime import timedelta
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel

from service.settings import SettingsError
from service.stores.pipeline import Commands, Pipeline, options
from service.stores.redis_cluster import Cluster, addresses_of, encryption_of

_SENTINEL_PORT = 26379
# Of the time that a connection may take: one Sentinel that is frozen, or two, must leave some for the others.
_SHARE_OF_A_SENTINEL = 1 / 3
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CHOICES = {
    "protocol": ("2", "3"),
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_check_hostname": ("true", "false"),
}
_KNOWN = ("db", *_CHOICES, *_FILES)


def connect(url: str, timeout: timedelta) -> Commands:
    """Prepare the connection, which the first command opens, or raise SettingsError.

    `redis://`, `rediss://` and `unix://` as redis-py reads them; `redis+sentinel://user:password@host:port,
    host:port/name/db` and `redis+cluster://user:password@host:port,host:port`, or `rediss+…` with TLS.
    """
    parts = urlsplit(url)
    _refuse_what_is_unknown(parts)
    if parts.scheme.endswith("+cluster"):
        return Cluster(parts, timeout)
    if parts.scheme.endswith("+sentinel"):
        return Pipeline(_behind_sentinels(parts, timeout), timeout)
    return Pipeline.connect(url, timeout)


def _refuse_what_is_unknown(url: SplitResult) -> None:
    """redis-py would find out at the first connection, and take it for an outage."""
    for name, values in parse_qs(url.query).items():
        if name not in _KNOWN:
            raise SettingsError(f"REDIS_URL: {name} is unknown; known are {', '.join(sorted(_KNOWN))}.")
        if name.startswith("ssl_") and not url.scheme.startswith("rediss"):
            raise SettingsError(f"REDIS_URL: {name} is for TLS, which begins with rediss.")
        if values[0] not in _CHOICES.get(name, values):
            raise SettingsError(f"REDIS_URL: {name} must be one of {', '.join(_CHOICES[name])}.")
        if name in _FILES and not Path(values[0]).is_file():
            raise SettingsError(f"REDIS_URL: {name} names no file ({values[0]}).")
    if not (number := _database_of(url)).isdigit():
        raise SettingsError(f"REDIS_URL: the database must be a number, not {number!r}.")


def _database_of(url: SplitResult) -> str:
    path = "" if url.scheme == "unix" else unquote(url.path.strip("/"))
    in_path = path.partition("/")[2] if url.scheme.endswith("+sentinel") else path
    return parse_qs(url.query).get("db", [in_path])[0] or "0"


def _behind_sentinels(url: SplitResult, timeout: timedelta) -> "Redis":
    """Ask the Sentinels for the primary at every new connection; an old one that was demoted is closed.

    With TLS they are spoken to like the servers, as their configuration is one. The user is the servers'.
    """
    name, _, database = unquote(url.path.strip("/")).partition("/")
    encryption = encryption_of(url)
    sentinels = Sentinel(
        addresses_of(url, _SENTINEL_PORT),
        sentinel_kwargs={**options(timeout * _SHARE_OF_A_SENTINEL), **encryption},
    )
    primary: Redis = sentinels.master_for(
        name or "mymaster",
        db=int(database or 0),
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        **encryption,
        **options(timeout),
    )
    return primary
