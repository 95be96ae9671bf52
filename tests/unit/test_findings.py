"""Each check accuses what it is for, names the remedy, and leaves everything else alone."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.errors import DatabaseRefused
from service.settings import Settings
from service.stores.database_facts import DatabaseFacts
from service.stores.redis_facts import RedisFacts
from service.use_cases.findings import _CHECKS, Facts, Severity, findings

DATABASE = DatabaseFacts(
    pending=(), unknown=(), encrypted=True, ahead=timedelta(), demo_hash=None, dearest=None
)
REDIS = RedisFacts(version="7.2.4", eviction="noeviction", ahead=timedelta())
SECRET = "0123456789abcdefghijklmnopqrstuv"
WELL = {
    "JWT_SECRET": SECRET,
    "DATABASE_URL": "postgres://db.example/x",
    "REDIS_URL": "rediss://redis.example/0",
    "TRUSTED_PROXY_HOPS": "1",
    "FORCE_HTTPS": "1",
}
REFUSAL = DatabaseRefused("no such role", pending=False)
FACTS = Facts(
    settings=Settings.from_env(WELL),
    database=DATABASE,
    redis=REDIS,
    demo_user=False,
    key_bytes=20,
    hash_time=timedelta(milliseconds=250),
    not_installed=(),
)
DYNO = {"DYNO": "web.1"}
MUST, WARNING, HINT = Severity


def environment(**env: str) -> dict[str, Any]:
    return {"settings": Settings.from_env(WELL | env)}


def database(**facts: Any) -> dict[str, Any]:
    return {"database": replace(DATABASE, **facts)}


def redis(**facts: Any) -> dict[str, Any]:
    return {"redis": replace(REDIS, **facts)}


def hash_time(milliseconds: int, **env: str) -> dict[str, Any]:
    return {"hash_time": timedelta(milliseconds=milliseconds)} | (environment(**env) if env else {})


SECONDS = timedelta(seconds=1)
WRONG: list[tuple[dict[str, Any], str, Severity, str]] = [
    ({"database": None}, "database_unreachable", MUST, "check DATABASE_URL"),
    ({"database": None, "refusal": REFUSAL}, "database_unreachable", MUST, "refused (no such role): check"),
    (
        {"database": None, "database_cause": OSError("no route")},
        "database_unreachable",
        MUST,
        "d (no route): ",
    ),
    (
        {"database": None, "refusal": REFUSAL} | environment(DATABASE_URL="sqlite:///gone/x.sqlite3"),
        "database_unreachable",
        MUST,
        "refused (no such role): check that its file",
    ),
    ({"demo_user": True}, "demo_user", MUST, "users set-password causas"),
    ({"key_bytes": 9}, "weak_key", MUST, "JWT_SECRET repeats"),
    (database(pending=("0004_x",)), "pending_migrations", MUST, "(0004_x): run python -m scripts migrate"),
    (database(unknown=("0009_x",)), "later_migrations", HINT, "0009_x"),
    ({"redis": None}, "silent_redis", WARNING, "check REDIS_URL"),
    ({"redis": None, "redis_cause": OSError("no route")}, "silent_redis", WARNING, "answer (no route), so"),
    (redis(version="6.0.16"), "old_redis", MUST, "Redis 6.0.16 is too old: run 6.2"),
    (redis(version="5.0"), "old_redis", MUST, "6.2"),
    (redis(eviction="allkeys-lru"), "evicting_redis", WARNING, "allkeys-lru"),
    (redis(ahead=3 * SECONDS), "clock_of_redis", WARNING, "Redis are 3 s apart"),
    (redis(ahead=-3 * SECONDS), "clock_of_redis", WARNING, "NTP"),
    (database(ahead=-7 * SECONDS), "clock_of_the_database", WARNING, "7 s apart"),
    (environment(**DYNO, TRUSTED_PROXY_HOPS="0"), "router_unknown", WARNING, "set it to 1"),
    (environment(TRUSTED_PROXIES="10.0.0.0/8,0.0.0.0/0"), "everybody_a_proxy", MUST, "instead."),
    (environment(TRUSTED_PROXIES="::/0"), "everybody_a_proxy", MUST, "name the networks"),
    (environment(TRUSTED_PROXY_HOPS="0"), "proxy_unknown", WARNING, "behind a proxy set it to 1"),
    (environment(TRUSTED_PROXY_HOPS="0", HOST="0.0.0.0"), "proxy_unknown", WARNING, "to 1"),  # noqa: S104
    (environment(REDIS_URL="redis://10.0.0.9/0"), "plain_redis", WARNING, "rediss://"),
    (database(encrypted=False), "plain_database", WARNING, "sslmode=verify-full"),
    (hash_time(99), "hash_time", WARNING, "set BCRYPT_COST to 13"),
    (hash_time(1001), "hash_time", WARNING, "a faster machine"),
    (hash_time(1001, BCRYPT_COST="14"), "hash_time", WARNING, "set BCRYPT_COST to 13"),
    (environment(DATABASE_URL="", APP_ENV="production"), "local_users", WARNING, "DATA_DIR (.data)"),
    (environment(**DYNO, DATABASE_URL=""), "lost_users", MUST, "attach a PostgreSQL database"),
    (environment(**DYNO, DATABASE_URL="sqlite://x"), "lost_users", MUST, "attach"),
    (environment(FORCE_HTTPS="0"), "plain_http", WARNING, "put TLS in front"),
    (database(dearest=14), "dear_hashes", WARNING, "Set BCRYPT_COST to 14"),
    (environment(REDIS_URL=""), "private_redis", WARNING, "REDIS_URL is not set"),
    (environment(LIMIT_LOGIN="0", LIMIT_NETWORK="0"), "limits_off", WARNING, "LIMIT_LOGIN, LIMIT_NETWORK"),
    ({"not_installed": ("X is set.",)}, "not_installed", WARNING, "X is set."),
]
RIGHT: list[dict[str, Any]] = [
    {},
    environment(TRUSTED_PROXY_HOPS="0", TRUSTED_PROXIES="10.0.0.0/8"),
    environment(TRUSTED_PROXY_HOPS="0", FORCE_HTTPS="0", HOST="127.0.0.1"),
    environment(REDIS_URL="redis://127.0.0.1/0"),
    environment(REDIS_URL="unix:///run/redis.sock"),
    environment(DATABASE_URL="sqlite:///x") | database(encrypted=False),
    environment(DATABASE_URL="postgres://localhost/x") | database(encrypted=False),
    environment(
        APP_ENV="development", TRUSTED_PROXY_HOPS="0", FORCE_HTTPS="0", DATABASE_URL="", REDIS_URL=""
    ),
    environment(APP_ENV="development") | {"demo_user": True},
    environment(**DYNO),
    redis(version="6.2.0"),
    redis(version="10.0"),
    redis(version=""),
    redis(eviction=None, ahead=1.9 * SECONDS),
    hash_time(100),
    hash_time(1000),
    {"hash_time": None},
]


def test_every_check_is_tried() -> None:
    assert {check for _, check, _, _ in WRONG} == set(_CHECKS)


@pytest.mark.parametrize(("facts", "check", "severity", "said"), WRONG)
def test_what_is_wrong_is_said_with_its_remedy(
    facts: dict[str, Any], check: str, severity: Severity, said: str
) -> None:
    (found,) = findings(replace(FACTS, **facts))

    assert (found.check, found.severity) == (check, severity)
    assert said in found.sentence
    assert "\n" not in found.sentence
    assert found.sentence.endswith(".")


@pytest.mark.parametrize("facts", RIGHT)
def test_what_is_right_is_left_alone(facts: dict[str, Any]) -> None:
    assert findings(replace(FACTS, **facts)) == []


def test_the_gravest_comes_first() -> None:
    found = findings(replace(FACTS, **redis(eviction="x"), **database(unknown=("x",), pending=("y",))))

    assert [finding.severity for finding in found] == [MUST, WARNING, HINT]
