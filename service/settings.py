"""Read the settings from the environment, once, and refuse what is unsafe."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

SECRET_MIN_BYTES = 32
COST_MIN, COST_MAX = 12, 16
TEST_COST_MIN = 4

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
class Settings:
    environment: Environment
    host: str
    port: int
    workers: int
    data_dir: Path
    database_url: str | None  # None: the embedded SQLite file
    redis_url: str | None  # None: the embedded server
    jwt_secret: str | None  # None beside jwt_keys None: the development key of DATA_DIR
    jwt_keys: str | None
    jwt_issuer: str
    session_ttl: timedelta
    session_max_ttl: timedelta
    sessions_per_user: int  # 0: no cap
    bcrypt_cost: int
    login_deadline: timedelta
    hash_nice: int
    password_min_length: int
    limit_login: Limit | None
    cors_allowed_origins: tuple[str, ...]
    force_https: bool
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
        database_url = env.url("DATABASE_URL", ("postgres", "postgresql", "sqlite"))
        environment = _environment(env, database_url)
        production = environment is Environment.PRODUCTION
        dyno = env.has("DYNO")
        settings = cls(
            environment=environment,
            host=env.text("HOST", "" if production else "127.0.0.1"),
            port=env.integer("PORT", 8000, 0, 65535),
            workers=env.integer("WEB_CONCURRENCY", os.cpu_count() or 1, 1, 256),
            data_dir=Path(env.text("DATA_DIR", ".data")),
            database_url=database_url,
            redis_url=env.url("REDIS_URL", ("redis", "rediss", "unix")),
            jwt_secret=env.optional("JWT_SECRET"),
            jwt_keys=env.optional("JWT_KEYS"),
            jwt_issuer=env.text("JWT_ISSUER", "backoffice"),
            session_ttl=env.duration("SESSION_TTL", "8h"),
            session_max_ttl=env.duration("SESSION_MAX_TTL", "24h"),
            sessions_per_user=env.integer("SESSIONS_PER_USER", 0, 0, 10_000),
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
            cors_allowed_origins=env.comma_list("CORS_ALLOWED_ORIGINS", "" if production else "*"),
            force_https=env.flag("FORCE_HTTPS", default=dyno),
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


def _refuse_what_is_unsafe(settings: Settings) -> None:
    if settings.jwt_secret is not None and settings.jwt_keys is not None:
        raise SettingsError("JWT_SECRET and JWT_KEYS are both set: keep one of them.")
    if settings.jwt_secret is not None and len(settings.jwt_secret.encode()) < SECRET_MIN_BYTES:
        raise SettingsError(f"JWT_SECRET is too short: at least {SECRET_MIN_BYTES} bytes, please.")
    if settings.production and settings.jwt_secret is None and settings.jwt_keys is None:
        raise SettingsError(
            "JWT_SECRET is not set, and production does not start without a signing key: make one with"
            " python -c 'import secrets; print(secrets.token_urlsafe(48))'."
        )
    if settings.session_max_ttl < settings.session_ttl:
        raise SettingsError("SESSION_MAX_TTL is shorter than SESSION_TTL: a session would outlive its end.")


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
        if match is None or int(match[1]) == 0:
            raise SettingsError(
                f"{name} must be a duration such as 250ms, 10s, 15m, 8h or 400d, not {value!r}."
            )
        return timedelta(seconds=int(match[1]) * _UNITS[match[2]])

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

    def comma_list(self, name: str, default: str) -> tuple[str, ...]:
        return tuple(item for part in self.text(name, default).split(",") if (item := part.strip()))

    def url(self, name: str, schemes: tuple[str, ...]) -> str | None:
        value = self.optional(name)
        # The value itself is not repeated: it may hold a password.
        if value is not None and urlsplit(value).scheme not in schemes:
            raise SettingsError(f"{name} must be a URL that starts with {'://, '.join(schemes)}://.")
        return value
