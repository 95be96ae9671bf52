"""The environment: what is assumed, what is refused, and what is never repeated."""

import os
import traceback
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from service.settings import Environment, Limit, Rate, Settings, SettingsError

SECRET = "x" * 32
PROXIES = (IPv4Network("10.0.0.0/8"), IPv6Network("fd00::/8"))
PRODUCTION = {"APP_ENV": "production", "JWT_SECRET": SECRET}


@pytest.mark.parametrize(
    ("field", "default"),
    [
        ("environment", Environment.DEVELOPMENT),
        ("host", "127.0.0.1"),
        ("port", 8000),
        ("workers", min(256, os.cpu_count() or 1)),
        ("data_dir", Path(".data")),
        ("database_url", None),
        ("redis_url", None),
        ("jwt_secret", None),
        ("jwt_keys", None),
        ("jwt_issuer", "backoffice"),
        ("session_ttl", timedelta(hours=8)),
        ("session_max_ttl", timedelta(hours=24)),
        ("sessions_per_user", 0),
        ("bcrypt_cost", 12),
        ("login_deadline", timedelta(seconds=10)),
        ("hash_nice", 10),
        ("password_min_length", 15),
        ("limit_login", Limit(5, timedelta(seconds=60))),
        ("limit_login_account", Limit(20, timedelta(seconds=900))),
        ("limit_login_network", Limit(50, timedelta(seconds=300))),
        ("limit_session", Rate(1000, timedelta(seconds=1), 2000)),
        ("limit_network", Rate(20, timedelta(seconds=1), 60)),
        ("event_retention", timedelta(days=400)),
        ("trusted_proxy_hops", 0),
        ("trusted_proxies", ()),
        ("docs", True),
        ("cors_allowed_origins", ("*",)),
        ("force_https", False),
        ("metrics_token", None),
        ("clients", ()),
        ("sentry_dsn", None),
        ("otlp_endpoint", None),
        ("dyno", False),
        ("access_log", True),
        ("log_level", "INFO"),
        ("redis_timeout", timedelta(milliseconds=250)),
        ("database_timeout", timedelta(seconds=1)),
        ("shutdown_grace", timedelta(seconds=25)),
    ],
)
@pytest.mark.parametrize("unset", ["missing", "empty"])
def test_a_setting_that_is_not_set_has_its_default(field: str, default: object, unset: str) -> None:
    environ = {} if unset == "missing" else dict.fromkeys(NAMES, "")

    assert getattr(Settings.from_env(environ), field) == default


@pytest.mark.parametrize(
    ("variable", "value", "field", "read"),
    [
        ("APP_ENV", "development", "environment", Environment.DEVELOPMENT),
        ("HOST", "::", "host", "::"),
        ("PORT", "0", "port", 0),
        ("PORT", "65535", "port", 65535),
        ("WEB_CONCURRENCY", "3", "workers", 3),
        ("DATA_DIR", "/data", "data_dir", Path("/data")),
        ("DATABASE_URL", "sqlite:///data/x.sqlite3", "database_url", "sqlite:///data/x.sqlite3"),
        ("DATABASE_URL", " SQLite:///Data/x.sqlite3\n", "database_url", "sqlite:///Data/x.sqlite3"),
        ("REDIS_URL", "REDIS://redis:6380/1", "redis_url", "redis://redis:6380/1"),
        ("REDIS_URL", "rediss://:pw@redis:6380/1", "redis_url", "rediss://:pw@redis:6380/1"),
        ("JWT_SECRET", SECRET, "jwt_secret", SECRET),
        ("JWT_ISSUER", "https://id.example", "jwt_issuer", "https://id.example"),
        ("SESSION_TTL", "15m", "session_ttl", timedelta(minutes=15)),
        ("SESSION_MAX_TTL", "400d", "session_max_ttl", timedelta(days=400)),
        ("SESSIONS_PER_USER", "3", "sessions_per_user", 3),
        ("BCRYPT_COST", "16", "bcrypt_cost", 16),
        ("LOGIN_DEADLINE", "1500ms", "login_deadline", timedelta(seconds=1.5)),
        ("HASH_NICE", "19", "hash_nice", 19),
        ("PASSWORD_MIN_LENGTH", "8", "password_min_length", 8),
        ("LIMIT_LOGIN", "10/900", "limit_login", Limit(10, timedelta(minutes=15))),
        ("LIMIT_LOGIN", "0", "limit_login", None),
        ("LOGIN_DEADLINE", "25s", "login_deadline", timedelta(seconds=25)),
        ("LIMIT_SESSION", "5/2+0", "limit_session", Rate(5, timedelta(seconds=2), 0)),
        ("LIMIT_NETWORK", "0", "limit_network", None),
        ("TRUSTED_PROXY_HOPS", "16", "trusted_proxy_hops", 16),
        ("TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8", "trusted_proxies", PROXIES),
        ("DOCS", "0", "docs", False),
        (
            "CLIENTS",
            f" orders:{SECRET}, billing:a:b{SECRET} ,,orders:+/=%{SECRET}",
            "clients",
            (f"orders:{SECRET}", f"billing:a:b{SECRET}", f"orders:+/=%{SECRET}"),
        ),
        (
            "CORS_ALLOWED_ORIGINS",
            " https://a.example ,, https://b.example,",
            "cors_allowed_origins",
            ("https://a.example", "https://b.example"),
        ),
        (
            "CORS_ALLOWED_ORIGINS",
            "http://localhost:3000,http://[::1]:8080,https://xn--bcher-kva.example:80,capacitor://localhost",
            "cors_allowed_origins",
            (
                "http://localhost:3000",
                "http://[::1]:8080",
                "https://xn--bcher-kva.example:80",
                "capacitor://localhost",
            ),
        ),
        ("CORS_ALLOWED_ORIGINS", "*", "cors_allowed_origins", ("*",)),
        ("FORCE_HTTPS", "1", "force_https", True),
        ("METRICS_TOKEN", "t0ken", "metrics_token", "t0ken"),
        ("SENTRY_DSN", "https://k@o1.example/2", "sentry_dsn", "https://k@o1.example/2"),
        ("SENTRY_DSN", "http://k:s@[::1]:9000/under/2", "sentry_dsn", "http://k:s@[::1]:9000/under/2"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4318", "otlp_endpoint", "http://otel:4318"),
        ("ACCESS_LOG", "0", "access_log", False),
        ("LOG_LEVEL", "DEBUG", "log_level", "DEBUG"),
        ("REDIS_TIMEOUT", "100ms", "redis_timeout", timedelta(milliseconds=100)),
        ("DATABASE_TIMEOUT", "2s", "database_timeout", timedelta(seconds=2)),
        ("SHUTDOWN_GRACE", "5s", "shutdown_grace", timedelta(seconds=5)),
    ],
)
def test_a_setting_is_read(variable: str, value: str, field: str, read: object) -> None:
    assert getattr(Settings.from_env({variable: value}), field) == read


NOT_A_NUMBER = ["x", "-1", "+1", "1.5", "1e3", " 1", "٣", "0x10", "99999999999999999999"]
NOT_A_DURATION = ["8", "h", "-1h", "1.5h", "8 h", "8H", "0s", "1w", "٨h", "9999999999s", "8h30m", "36501d"]
NOT_A_LIMIT = ["5", "5/", "/60", "5/0", "0/60", "-5/60", "5/60/1", "5 / 60", "05/60", "five", "5/60s"]
NOT_A_RATE = ["5", "5/1", "5+1", "5/1+", "0/1+1", "5/0+1", "-5/1+1", "5/1+-1", "5/1+1.5", "05/1+1", "5/1s+1"]
NOT_NETWORKS = ["10.0.0.1/8", "10.0.0.0/33", "fd00::/129", "localhost", "10.0.0.0/8;fd00::/8", "*"]
NOT_A_FLAG = ["true", "yes", "on", "2", "-1"]
NOT_A_URL = ["localhost", "mysql://localhost/x", "http://localhost", "://x", "redis", "//localhost", "x" * 10]
NOT_READABLE = ["{}://[::1", "{}://[x]/", "{}://localhost:port/", "{}://localhost:99999/"]
CUT_SHORT = [
    "{}://ada:p#x@db/x",
    "{}://ada:12#x@db/x",
    "{}://ada:p/x@db/x",
    "{}://ada:p?x@db/x",
    "{}://ada:p[x@db/x",
]
NOT_ORIGINS = [
    "a.example",
    "https://a.example/",
    "https://a.example/path",
    "https://A.example",
    "HTTPS://a.example",
    "https://a.example:443",
    "http://a.example:80",
    "https://a.example:",
    "https://*.example",
    "https://bücher.example",
    "https://ada@a.example",
    "https://a.example https://b.example",
    "https://a.example,b.example",
    "//a.example",
    "https://",
    "null",
    "**",
]
NOT_A_DSN = [
    "https://sentry.example/",
    "https://sentry.example/1",
    "https://@sentry.example/1",
    "https://k@sentry.example",
    "https://k@sentry.example/",
    "https://k@sentry.example/x",
    "https://k@sentry.example/1/",
    "https://k@sentry.example/٣",
    "https://k@/1",
    "https://k@sentry.example:port/1",
    "k@sentry.example/1",
]
NOT_CLIENTS = [
    "orders",
    "orders:",
    f":{SECRET}",
    f"orders:{SECRET[:-1]}",
    f"orders:{SECRET},billing",
    f"orders:{SECRET[:-1]},{SECRET}",
    f"orders {SECRET}",
    f"or ders:{SECRET}",
    f"orders: {SECRET}",
    f"örders:{SECRET}",
    f"orders:{SECRET}ö",
    f"{'o' * 65}:{SECRET}",
    f'{{"orders": "{SECRET}"}}',
]
DURATIONS = (
    "SESSION_TTL",
    "SESSION_MAX_TTL",
    "EVENT_RETENTION",
    "LOGIN_DEADLINE",
    "REDIS_TIMEOUT",
    "DATABASE_TIMEOUT",
    "SHUTDOWN_GRACE",
)
LIMITS = ("LIMIT_LOGIN", "LIMIT_LOGIN_ACCOUNT", "LIMIT_LOGIN_NETWORK")
NUMBERS = {
    "PORT": ["65536"],
    "WEB_CONCURRENCY": ["0", "257"],
    "SESSIONS_PER_USER": ["10001"],
    "BCRYPT_COST": ["11", "17", "4"],
    "HASH_NICE": ["20"],
    "TRUSTED_PROXY_HOPS": ["17"],
    "PASSWORD_MIN_LENGTH": ["7", "1025"],
}
MALFORMED = [
    ("APP_ENV", "prod"),
    ("APP_ENV", "Production"),
    ("LOG_LEVEL", "debug"),
    ("LOG_LEVEL", "TRACE"),
    *((name, value) for name, beyond in NUMBERS.items() for value in (*beyond, *NOT_A_NUMBER)),
    *((name, value) for name in DURATIONS for value in NOT_A_DURATION),
    ("LOGIN_DEADLINE", "26s"),
    *((name, value) for name in LIMITS for value in NOT_A_LIMIT),
    *((name, value) for name in ("LIMIT_SESSION", "LIMIT_NETWORK") for value in NOT_A_RATE),
    *(("TRUSTED_PROXIES", value) for value in NOT_NETWORKS),
    *((name, value) for name in ("FORCE_HTTPS", "ACCESS_LOG", "DOCS") for value in NOT_A_FLAG),
    *((name, value) for name in ("DATABASE_URL", "REDIS_URL") for value in NOT_A_URL),
    *(("DATABASE_URL", value.format("postgres")) for value in NOT_READABLE),
    *(("REDIS_URL", value.format("redis")) for value in NOT_READABLE),
    *(("DATABASE_URL", value.format("postgres")) for value in CUT_SHORT),
    *(("REDIS_URL", value.format("rediss")) for value in CUT_SHORT),
    *(("CORS_ALLOWED_ORIGINS", value) for value in NOT_ORIGINS),
    *(("SENTRY_DSN", value) for value in NOT_A_DSN),
    ("JWT_SECRET", "x" * 31),
    ("JWT_SECRET", "ä" * 15),
    *(("CLIENTS", value) for value in NOT_CLIENTS),
]
NAMES = sorted(
    {name for name, _ in MALFORMED} | {"HOST", "DATA_DIR", "JWT_KEYS", "JWT_ISSUER", "METRICS_TOKEN", "DYNO"}
)


@pytest.mark.parametrize(("variable", "value"), MALFORMED)
def test_a_malformed_setting_is_named_in_one_sentence(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{variable}\b[^\n]*\.$"):
        Settings.from_env({variable: value})


@pytest.mark.parametrize("value", [*NOT_READABLE, *CUT_SHORT])
@pytest.mark.parametrize(("variable", "scheme"), [("DATABASE_URL", "postgres"), ("REDIS_URL", "redis")])
def test_of_a_url_that_is_cut_short_by_its_password_the_password_is_accused(
    variable: str, scheme: str, value: str
) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read: in a password, # .* percent-encoded"):
        Settings.from_env({variable: value.format(scheme)})


@pytest.mark.parametrize("dsn", ["https://k@o1.example/2", *NOT_A_DSN])
def test_a_dsn_is_refused_where_its_package_refuses_it(dsn: str) -> None:
    """But for digits that are none of ASCII, which no server counts its projects with."""
    utils = pytest.importorskip("sentry_sdk.utils")
    try:
        utils.Dsn(dsn)
    except ValueError:
        with pytest.raises(SettingsError):
            Settings.from_env({"SENTRY_DSN": dsn})
    else:
        assert "٣" in dsn or Settings.from_env({"SENTRY_DSN": dsn}).sentry_dsn == dsn


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://user:hunter2@localhost/x"),
        ("DATABASE_URL", "postgres://user:hunter2@[::1/x"),
        ("DATABASE_URL", "postgres://user:hunter2@localhost:port/x"),
        ("DATABASE_URL", "postgres://user:pass#hunter2@localhost/x"),
        ("REDIS_URL", "http://:hunter2@localhost"),
        ("REDIS_URL", "redis://:hunter2@[::1"),
        ("REDIS_URL", "redis://:hunter2@localhost:port"),
        ("JWT_SECRET", "hunter2"),
        ("CLIENTS", "orders:hunter2"),
        ("SENTRY_DSN", "hunter2@o1.example/2"),
        ("SENTRY_DSN", "https://hunter2@o1.example/"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://:hunter2@otel"),
    ],
)
def test_a_secret_in_a_malformed_value_is_not_repeated(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({variable: value})

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_the_settings_show_no_secret_when_they_are_printed() -> None:
    settings = Settings.from_env(
        {"JWT_SECRET": "hunter2" * 5, "REDIS_URL": "redis://:hunter2@redis", "METRICS_TOKEN": "hunter2"}
        | {"CLIENTS": "orders:" + "hunter2" * 5}
    )

    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "environment"),
    [
        ({}, Environment.DEVELOPMENT),
        ({"DATABASE_URL": "sqlite://x.sqlite3"}, Environment.DEVELOPMENT),
        ({"REDIS_URL": "redis://redis"}, Environment.DEVELOPMENT),
        ({"DYNO": "web.1"}, Environment.PRODUCTION),
        ({"DATABASE_URL": "postgres://db/x"}, Environment.PRODUCTION),
        ({"DATABASE_URL": "postgresql://db/x"}, Environment.PRODUCTION),
        ({"DATABASE_URL": "postgres://db/x", "APP_ENV": "development"}, Environment.DEVELOPMENT),
        ({"DYNO": "web.1", "APP_ENV": "test"}, Environment.TEST),
        ({"APP_ENV": "production"}, Environment.PRODUCTION),
    ],
)
def test_a_server_means_production_unless_somebody_says_otherwise(
    environ: dict[str, str], environment: Environment
) -> None:
    assert Settings.from_env({"JWT_SECRET": SECRET, **environ}).environment is environment


@pytest.mark.parametrize(
    "environ", [{"APP_ENV": "production"}, {"DYNO": "web.1"}, {"DATABASE_URL": "postgres://db/x"}]
)
def test_production_does_not_start_without_a_key(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"^JWT_SECRET is not set"):
        Settings.from_env(environ)


def test_a_short_key_starts_nothing() -> None:
    with pytest.raises(SettingsError, match=r"^JWT_SECRET is too short"):
        Settings.from_env({**PRODUCTION, "JWT_SECRET": "x" * 31})


def test_one_source_of_keys_is_enough() -> None:
    with pytest.raises(SettingsError, match=r"^JWT_SECRET and JWT_KEYS are both set"):
        Settings.from_env({"JWT_SECRET": SECRET, "JWT_KEYS": "{}"})


def test_a_session_cannot_outlive_its_absolute_end() -> None:
    with pytest.raises(SettingsError, match=r"^SESSION_MAX_TTL is shorter than SESSION_TTL"):
        Settings.from_env({"SESSION_TTL": "25h"})


@pytest.mark.parametrize(("environment", "least"), [("test", 4), ("development", 12), ("production", 12)])
def test_cheap_hashes_are_for_tests(environment: str, least: int) -> None:
    environ = {"APP_ENV": environment, "JWT_SECRET": SECRET}

    assert Settings.from_env({**environ, "BCRYPT_COST": str(least)}).bcrypt_cost == least
    with pytest.raises(SettingsError, match=r"^BCRYPT_COST"):
        Settings.from_env({**environ, "BCRYPT_COST": str(least - 1)})


@pytest.mark.parametrize(
    ("field", "value"), [("host", ""), ("cors_allowed_origins", ()), ("bcrypt_cost", 12), ("port", 8000)]
)
def test_production_has_defaults_of_its_own(field: str, value: object) -> None:
    assert getattr(Settings.from_env(PRODUCTION), field) == value


@pytest.mark.parametrize(
    ("environ", "field", "read"),
    [
        ({"REDIS_URL": "rediss://:pw@r:1"}, "redis_url", "rediss://:pw@r:1?ssl_cert_reqs=none"),
        ({"REDIS_URL": "rediss://r?db=1"}, "redis_url", "rediss://r?db=1&ssl_cert_reqs=none"),
        ({"REDIS_URL": "redis://r"}, "redis_url", "redis://r"),
        (
            {"REDIS_URL": "rediss://r?ssl_cert_reqs=required"},
            "redis_url",
            "rediss://r?ssl_cert_reqs=required",
        ),
        ({"DATABASE_URL": "postgres://u:p@d/x"}, "database_url", "postgres://u:p@d/x?sslmode=require"),
        (
            {"DATABASE_URL": "postgresql://d/x?sslmode=prefer"},
            "database_url",
            "postgresql://d/x?sslmode=prefer",
        ),
    ],
)
def test_on_a_dyno_the_urls_mean_what_the_platform_means(
    environ: dict[str, str], field: str, read: str
) -> None:
    (given,) = environ.values()

    assert getattr(Settings.from_env({"JWT_SECRET": SECRET, "DYNO": "web.1", **environ}), field) == read
    assert getattr(Settings.from_env({"JWT_SECRET": SECRET, **environ}), field) == given


def test_a_dyno_has_tls_in_front_of_it() -> None:
    assert Settings.from_env({"DYNO": "web.1", "JWT_SECRET": SECRET}).force_https
    assert not Settings.from_env({"DYNO": "web.1", "JWT_SECRET": SECRET, "FORCE_HTTPS": "0"}).force_https


@pytest.mark.parametrize(
    ("environ", "allowed"),
    [
        ({}, True),
        ({"HOST": "localhost"}, True),
        ({"HOST": "::1"}, True),
        ({"APP_ENV": "test"}, True),
        ({"HOST": "0.0.0.0"}, False),  # noqa: S104 - the address is read, not listened on
        ({"HOST": "::"}, False),
        ({"HOST": "192.168.0.7"}, False),
        ({"DATABASE_URL": "sqlite://x.sqlite3"}, False),
        ({"DATABASE_URL": "postgres://db/x", "APP_ENV": "development"}, False),
        ({"REDIS_URL": "redis://redis"}, False),
        ({"APP_ENV": "production", "HOST": "127.0.0.1"}, False),
        ({"DYNO": "web.1"}, False),
    ],
)
def test_the_demo_password_opens_only_what_nobody_else_can_reach(
    environ: dict[str, str], allowed: bool
) -> None:
    assert Settings.from_env({"JWT_SECRET": SECRET, **environ}).demo_allowed is allowed
