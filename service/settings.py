"""Read the settings from the environment, once, and refuse what is unsafe."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

SECRET_MIN_BYTES = 32
COST_MIN, COST_MAX = 12, 16
TEST_COST_MIN = 4
WORKERS_MAX = 256
HOW_TO_MAKE_A_KEY = "python -c 'import secrets; print(secrets.token_urlsafe(48))'"

IPNetwork = IPv4Network | IPv6Network

_REDIS_SCHEMES = (
    "redis",
    "rediss",
    "unix",
    *(f"{tls}+{way}" for tls in ("redis", "rediss") for way in ("sentinel", "cluster")),
)
_CLIENT = re.compile(rf"[!-9;-~]{{1,64}}:[!-~]{{{SECRET_MIN_BYTES},}}")
# As browsers write them in the header of that name, and as they are compared: RFC 6454 section 6.2.
_ORIGIN = re.compile(
    r"(?!https:.*:443$|http:.*:80$)[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?"
)
# The server gives up an answer after 30 s, and the hash itself takes its time.
LOGIN_DEADLINE_MAX = timedelta(seconds=25)
# Any more, and a sum of it and the time of day could leave the calendar.
_LONGEST = timedelta(days=36_500)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


class SettingsError(Exception):
    """A setting is missing, malformed or unsafe. The text is one sentence that names the variable."""


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"
    TEST = "test"  # development with a bcrypt cost below 12 allowed


@dataclass(frozen=True, slots=True)
class Limit:
    """So many attempts within a window; None instead of a Limit is no limit."""

    count: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in a period, evenly, and a burst on top; None instead of a Rate is no limit."""

    count: int
    period: timedelta
    burst: int


@dataclass(frozen=True, slots=True)
class Settings:
    environment: Environment
    dyno: bool  # whether the platform is Heroku, or says so
    host: str
    port: int
    workers: int
    data_dir: Path
    database_url: str | None = field(repr=False)  # None: the embedded SQLite file
    redis_url: str | None = field(repr=False)  # None: the embedded server
    jwt_secret: str | None = field(repr=False)  # None beside jwt_keys None: the development key of DATA_DIR
    jwt_keys: str | None = field(repr=False)
    jwt_issuer: str
    session_ttl: timedelta
    session_max_ttl: timedelta
    sessions_per_user: int  # 0: no cap
    event_retention: timedelta
    bcrypt_cost: int
    login_deadline: timedelta
    hash_nice: int
    password_min_length: int
    limit_login: Limit | None
    limit_login_account: Limit | None
    limit_login_network: Limit | None
    limit_session: Rate | None
    limit_network: Rate | None
    trusted_proxy_hops: int
    trusted_proxies: tuple[IPNetwork, ...]
    docs: bool
    cors_allowed_origins: tuple[str, ...]
    force_https: bool
    sentry_dsn: str | None = field(repr=False)  # None: errors are in the log only
    otlp_endpoint: str | None = field(repr=False)  # None: requests are not traced
    metrics_token: str | None = field(repr=False)  # None: /metrics is open in development, off in production
    clients: tuple[str, ...] = field(repr=False)  # `id:secret` of every service that may ask about tokens
    access_log: bool
    log_level: str
    redis_timeout: timedelta
    database_timeout: timedelta
    shutdown_grace: timedelta

    @property
    def production(self) -> bool:
        return self.environment is Environment.PRODUCTION

    @property
    def embedded(self) -> bool:
        """Whether everything lives in DATA_DIR: the only mode that has the demo user."""
        return self.database_url is None and self.redis_url is None

    @property
    def demo_allowed(self) -> bool:
        """Whether the published demo password may sign in: nobody but this machine can reach it."""
        return self.embedded and not self.production and self.host in {"127.0.0.1", "::1", "localhost"}

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read every setting, or raise SettingsError for the first that is wrong."""
        env = _Reader(environ)
        dyno = env.has("DYNO")
        database_url = env.url("DATABASE_URL", ("postgres", "postgresql", "sqlite"))
        redis_url = env.url("REDIS_URL", _REDIS_SCHEMES)
        environment = _environment(env, database_url)
        production = environment is Environment.PRODUCTION
        settings = cls(
            environment=environment,
            dyno=dyno,
            host=env.text("HOST", "" if production else "127.0.0.1"),
            port=env.integer("PORT", 8000, 0, 65535),
            workers=env.integer("WEB_CONCURRENCY", min(WORKERS_MAX, os.cpu_count() or 1), 1, WORKERS_MAX),
            data_dir=Path(env.text("DATA_DIR", ".data")),
            database_url=_on_a_dyno(database_url, "postgres", "sslmode", "require") if dyno else database_url,
            redis_url=_on_a_dyno(redis_url, "rediss", "ssl_cert_reqs", "none") if dyno else redis_url,
            jwt_secret=env.optional("JWT_SECRET"),
            jwt_keys=env.optional("JWT_KEYS"),
            jwt_issuer=env.text("JWT_ISSUER", "backoffice"),
            session_ttl=env.duration("SESSION_TTL", "8h"),
            session_max_ttl=env.duration("SESSION_MAX_TTL", "24h"),
            sessions_per_user=env.integer("SESSIONS_PER_USER", 0, 0, 10_000),
            event_retention=env.duration("EVENT_RETENTION", "400d"),
            bcrypt_cost=env.integer(
                "BCRYPT_COST",
                COST_MIN,
                TEST_COST_MIN if environment is Environment.TEST else COST_MIN,
                COST_MAX,
            ),
            login_deadline=env.duration("LOGIN_DEADLINE", "10s"),
            hash_nice=env.integer("HASH_NICE", 10, 0, 19),
            password_min_length=env.integer("PASSWORD_MIN_LENGTH", 15, 8, 1024),
            limit_login=env.limit("LIMIT_LOGIN", "5/60"),
            limit_login_account=env.limit("LIMIT_LOGIN_ACCOUNT", "20/900"),
            limit_login_network=env.limit("LIMIT_LOGIN_NETWORK", "50/300"),
            limit_session=env.rate("LIMIT_SESSION", "1000/1+2000"),
            limit_network=env.rate("LIMIT_NETWORK", "20/1+60"),
            trusted_proxy_hops=env.integer("TRUSTED_PROXY_HOPS", 1 if dyno else 0, 0, 16),
            trusted_proxies=env.networks("TRUSTED_PROXIES"),
            docs=env.flag("DOCS", default=True),
            cors_allowed_origins=env.origins("CORS_ALLOWED_ORIGINS", "" if production else "*"),
            force_https=env.flag("FORCE_HTTPS", default=dyno),
            sentry_dsn=env.dsn("SENTRY_DSN"),
            otlp_endpoint=env.url("OTEL_EXPORTER_OTLP_ENDPOINT", ("https", "http")),
            metrics_token=env.optional("METRICS_TOKEN"),
            clients=env.clients("CLIENTS"),
            access_log=env.flag("ACCESS_LOG", default=True),
            log_level=env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
            redis_timeout=env.duration("REDIS_TIMEOUT", "250ms"),
            database_timeout=env.duration("DATABASE_TIMEOUT", "1s"),
            shutdown_grace=env.duration("SHUTDOWN_GRACE", "25s"),
        )
        _refuse_what_is_unsafe(settings)
        return settings


def _environment(env: "_Reader", database_url: str | None) -> Environment:
    on_a_server = database_url is not None and not database_url.startswith("sqlite:")
    implied = Environment.PRODUCTION if env.has("DYNO") or on_a_server else Environment.DEVELOPMENT
    return Environment(env.choice("APP_ENV", implied.value, tuple(Environment)))


def _on_a_dyno(url: str | None, scheme: str, name: str, value: str) -> str | None:
    """Say what Heroku's URLs leave out: its databases insist on TLS, its Redis certificates are self-signed.

    https://devcenter.heroku.com/articles/connecting-heroku-redis
    """
    if url is None or not url.startswith(scheme) or name in parse_qs(urlsplit(url).query):
        return url
    return f"{url}{'&' if urlsplit(url).query else '?'}{name}={value}"


def _refuse_what_is_unsafe(settings: Settings) -> None:
    if settings.jwt_secret is not None and settings.jwt_keys is not None:
        raise SettingsError("JWT_SECRET and JWT_KEYS are both set: keep one of them.")
    if settings.jwt_secret is not None and len(settings.jwt_secret.encode()) < SECRET_MIN_BYTES:
        raise SettingsError(f"JWT_SECRET is too short: at least {SECRET_MIN_BYTES} bytes, please.")
    if settings.production and settings.jwt_secret is None and settings.jwt_keys is None:
        raise SettingsError(
            "JWT_SECRET is not set, nor is JWT_KEYS, and production (by APP_ENV, DYNO, or a DATABASE_URL on a"
            f" server) does not start without a signing key: make one with {HOW_TO_MAKE_A_KEY}."
        )
    if settings.login_deadline > LOGIN_DEADLINE_MAX:
        longest = f"{LOGIN_DEADLINE_MAX.seconds}s"
        raise SettingsError(
            f"LOGIN_DEADLINE must be at most {longest}: an answer that takes longer is given up."
        )
    if settings.session_max_ttl < settings.session_ttl:
        raise SettingsError(
            "SESSION_MAX_TTL is shorter than SESSION_TTL: set it as well (it is 24h by default)."
        )


class _Reader:
    """The environment, one typed read per kind of setting; an empty value counts as unset."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def has(self, name: str) -> bool:
        return bool(self._environ.get(name))

    def optional(self, name: str) -> str | None:
        return self._environ.get(name) or None

    def text(self, name: str, default: str) -> str:
        return self._environ.get(name) or default

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        value = self.text(name, str(default))
        if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
            raise SettingsError(f"{name} must be a whole number from {low} to {high}, not {value!r}.")
        return int(value)

    def flag(self, name: str, *, default: bool) -> bool:
        return self.choice(name, "1" if default else "0", ("0", "1")) == "1"

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise SettingsError(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
        return value

    def duration(self, name: str, default: str) -> timedelta:
        value = self.text(name, default)
        match = re.fullmatch(r"([0-9]{1,9})(ms|s|m|h|d)", value)
        span = timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else timedelta()
        if not timedelta() < span <= _LONGEST:
            raise SettingsError(
                f"{name} must be a duration such as 250ms, 10s, 15m, 8h or 400d, and at most"
                f" {_LONGEST.days}d, not {value!r}."
            )
        return span

    def limit(self, name: str, default: str) -> Limit | None:
        value = self.text(name, default)
        if value == "0":
            return None
        match = re.fullmatch(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})", value)
        if match is None:
            raise SettingsError(
                f"{name} must be a count and seconds such as 5/60, or 0 for no limit, not {value!r}."
            )
        return Limit(int(match[1]), timedelta(seconds=int(match[2])))

    def rate(self, name: str, default: str) -> Rate | None:
        value = self.text(name, default)
        if value == "0":
            return None
        match = re.fullmatch(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})\+([0-9]{1,6})", value)
        if match is None:
            raise SettingsError(
                f"{name} must be count/seconds+burst such as 20/1+60, or 0 for no limit, not {value!r}."
            )
        return Rate(int(match[1]), timedelta(seconds=int(match[2])), int(match[3]))

    def networks(self, name: str) -> tuple[IPNetwork, ...]:
        try:
            return tuple(ip_network(item) for item in self.comma_list(name, ""))
        except ValueError as error:
            raise SettingsError(
                f"{name} must be a comma list of networks such as 10.0.0.0/8: {error}."
            ) from error

    def comma_list(self, name: str, default: str) -> tuple[str, ...]:
        return tuple(item for part in self.text(name, default).split(",") if (item := part.strip()))

    def origins(self, name: str, default: str) -> tuple[str, ...]:
        origins = self.comma_list(name, default)
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise SettingsError(
                    f"{name} must be *, or a comma list of origins such as https://app.example or"
                    f" http://localhost:3000, in lower case, without path or default port, not {origin!r}."
                )
        return origins

    def clients(self, name: str) -> tuple[str, ...]:
        pairs = self.comma_list(name, "")
        # The pairs are not repeated: they hold secrets. What they may be made of: RFC 6749 appendix A.1.
        if not all(_CLIENT.fullmatch(pair) for pair in pairs):
            raise SettingsError(
                f"{name} must be a comma list of id:secret in visible ASCII: ids of at most 64 characters,"
                f" secrets of at least {SECRET_MIN_BYTES}."
            )
        return pairs

    def url(self, name: str, schemes: tuple[str, ...]) -> str | None:
        value = self.optional(name)
        if value is None:
            return None
        # As every reader of it compares it: RFC 3986 section 3.1 takes either case.
        scheme, colon, rest = value.strip().partition(":")
        scheme = scheme.lower()
        # The value itself is not repeated: it may hold a password.
        if not colon or scheme not in schemes:
            raise SettingsError(f"{name} must be a URL that starts with {'://, '.join(schemes)}://.")
        url = f"{scheme}:{rest}"
        if not _is_readable(url):
            raise SettingsError(
                f"{name} has a host or a port that cannot be read: in a password, # / ? @ [ ] and % are"
                " percent-encoded, as %23 for #."
            )
        return url

    def dsn(self, name: str) -> str | None:
        """Read what sentry-sdk takes, which is an extra and could be asked in a worker only."""
        value = self.url(name, ("https", "http"))
        if value is None:
            return None
        parts = urlsplit(value)
        project = parts.path.rpartition("/")[2]
        if not (parts.username and parts.hostname and project.isascii() and project.isdigit()):
            raise SettingsError(f"{name} must be as Sentry gives it: https://KEY@HOST/NUMBER.")
        return value


def _is_readable(url: str) -> bool:
    """Whether the hosts and ports of a URL can be told: what comes after a # is no part of them."""
    try:
        parts = urlsplit(url)
        # Sentinels and Clusters have several, separated by commas.
        for address in parts.netloc.rpartition("@")[2].split(","):
            _ = urlsplit(f"//{address}").port
    except ValueError:
        return False
    return not (parts.netloc and parts.fragment)
