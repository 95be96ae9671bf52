"""Judge an installation: each check looks at the facts and says what is wrong, and what helps."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from service.errors import DatabaseRefused
from service.security.demo import DEMO_USER
from service.settings import COST_MAX, COST_MIN, HOW_TO_MAKE_A_KEY, Settings
from service.stores.database_facts import DatabaseFacts
from service.stores.database_url import is_remote
from service.stores.redis_facts import RedisFacts
from service.telemetry.causes import words_of

DEMO_USER_PRESENT = (
    f"The user {DEMO_USER} has the demo password, which everybody can read: set another one"
    f" (python -m scripts users set-password {DEMO_USER}) or shut her out (python -m scripts users disable"
    f" {DEMO_USER})."
)

_OLDEST_REDIS = (6, 2)
# Of a random key of 32 bytes or hexadecimal digits, next to none has so few.
_KEY_BYTES_MIN = 10
# Instances differ from each other by at most as much again, and the leeway of a token is 5 s.
_SKEW_MAX = timedelta(seconds=2)
_HASH_MIN, _HASH_MAX = timedelta(milliseconds=100), timedelta(seconds=1)
_LIMITS = ("limit_login", "limit_login_account", "limit_login_network", "limit_session", "limit_network")


class Severity(StrEnum):
    MUST = "must be fixed"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    severity: Severity
    sentence: str  # what is wrong, and the remedy


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out about an installation; None: it did not answer, or was not looked at."""

    settings: Settings
    database: DatabaseFacts | None
    redis: RedisFacts | None
    demo_user: bool  # she is there, active, and has the demo password
    key_bytes: int  # how many different ones the secret of the signing key has
    hash_time: timedelta | None
    not_installed: tuple[str, ...]  # packages that settings ask for
    refusal: DatabaseRefused | None = None  # why there are no facts of a database that answers
    database_cause: BaseException | None = None  # of its silence, where a library said something of it
    redis_cause: BaseException | None = None


def findings(facts: Facts) -> list[Finding]:
    """Say everything that is wrong, the gravest first."""
    said = ((name, severity, check(facts)) for name, (severity, check) in _CHECKS.items())
    found = [Finding(name, severity, sentence) for name, severity, sentence in said if sentence]
    return sorted(found, key=lambda finding: list(Severity).index(finding.severity))


def refused(error: DatabaseRefused) -> str:
    """Give the sentence, with the remedy, for a database that answers and does not do what it is asked."""
    remedy = "run python -m scripts migrate" if error.pending else "see what python -m scripts doctor finds"
    return f"The database refused ({error.words}): {remedy}."


def unreachable(cause: BaseException | None) -> str:
    """Give the sentence for a database that does not answer, and what a library said of it."""
    return (
        f"The database cannot be reached{_because_of(cause)}: check DATABASE_URL, or whether the server runs."
    )


def _because_of(cause: BaseException | None) -> str:
    return "" if cause is None else f" ({words_of(cause)})"


def _unreachable(facts: Facts) -> str | None:
    if facts.refusal is not None:
        return f"The database refused ({facts.refusal.words}): check {_what_lets_in(facts.settings)}."
    return unreachable(facts.database_cause) if facts.database is None else None


def _what_lets_in(settings: Settings) -> str:
    url = settings.database_url
    if url is None or url.startswith("sqlite:"):
        return "that its file and the directory around it are there and can be written"
    return "the user and password in DATABASE_URL, and what they may do there"


def _demo_user(facts: Facts) -> str | None:
    return DEMO_USER_PRESENT if facts.settings.production and facts.demo_user else None


def _weak_key(facts: Facts) -> str | None:
    if facts.key_bytes >= _KEY_BYTES_MIN:
        return None
    name = "JWT_SECRET" if facts.settings.jwt_keys is None else "JWT_KEYS"
    return (
        f"{name} repeats a few characters, and who guesses it signs tokens: make one with"
        f" {HOW_TO_MAKE_A_KEY}."
    )


def _pending_migrations(facts: Facts) -> str | None:
    if facts.database is None or not facts.database.pending:
        return None
    return f"Migrations are pending ({', '.join(facts.database.pending)}): run python -m scripts migrate."


def _later_migrations(facts: Facts) -> str | None:
    if facts.database is None or not facts.database.unknown:
        return None
    return (
        f"The database has migrations of a later release ({', '.join(facts.database.unknown)}): deploy that"
        " one again as soon as it is mended."
    )


def _silent_redis(facts: Facts) -> str | None:
    if facts.redis is not None:
        return None
    return (
        f"Redis does not answer{_because_of(facts.redis_cause)}, so the database does its work and every"
        " process limits logins by itself: check REDIS_URL, or whether the server runs."
    )


def _old_redis(facts: Facts) -> str | None:
    if facts.redis is None or _version(facts.redis.version) >= _OLDEST_REDIS:
        return None
    return f"Redis {facts.redis.version} is too old: run 6.2 or newer, or Valkey."


def _version(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    return numbers or _OLDEST_REDIS  # who does not say is not accused


def _evicting_redis(facts: Facts) -> str | None:
    if facts.redis is None or facts.redis.eviction in {None, "noeviction"}:
        return None
    return (
        f"Redis evicts keys when it is full (maxmemory-policy {facts.redis.eviction}), and login attempts are"
        " forgotten with them: set maxmemory-policy noeviction."
    )


def _clock_of_redis(facts: Facts) -> str | None:
    return None if facts.redis is None else _skew("Redis", facts.redis.ahead)


def _clock_of_the_database(facts: Facts) -> str | None:
    return None if facts.database is None else _skew("the database", facts.database.ahead)


def _skew(name: str, ahead: timedelta) -> str | None:
    if abs(ahead) <= _SKEW_MAX:
        return None
    return (
        f"The clocks of this machine and of {name} are {abs(ahead).total_seconds():.0f} s apart, and tokens"
        " may end too early or too late: synchronise them (NTP)."
    )


def _router_unknown(facts: Facts) -> str | None:
    if not facts.settings.dyno or _knows_proxies(facts.settings):
        return None
    return (
        "TRUSTED_PROXY_HOPS is 0 behind Heroku's router, so all clients count as a few networks and shut each"
        " other out: unset it, or set it to 1."
    )


def _proxy_unknown(facts: Facts) -> str | None:
    settings = facts.settings
    if settings.dyno or not _is_public(settings) or _knows_proxies(settings):
        return None
    return (
        "TRUSTED_PROXY_HOPS is 0, which is right if clients connect themselves: behind a proxy set it to 1,"
        " or all clients count as one network."
    )


def _everybody_a_proxy(facts: Facts) -> str | None:
    if all(network.prefixlen for network in facts.settings.trusted_proxies):
        return None
    return (
        "TRUSTED_PROXIES holds every address, so any client can say which network it comes from, and guess as"
        " often as it likes: name the networks of the proxies, or set TRUSTED_PROXY_HOPS instead."
    )


def _knows_proxies(settings: Settings) -> bool:
    return bool(settings.trusted_proxy_hops or settings.trusted_proxies)


def _plain_http(facts: Facts) -> str | None:
    if not _is_public(facts.settings) or facts.settings.force_https:
        return None
    return (
        "FORCE_HTTPS is 0, and passwords may travel in plain text: put TLS in front, and set it to 1, so that"
        " browsers keep to it."
    )


def _is_public(settings: Settings) -> bool:
    everywhere = settings.host in {"", "0.0.0.0", "::"}  # noqa: S104 - read, not listened on
    return settings.production and everywhere


def _plain_redis(facts: Facts) -> str | None:
    url = facts.settings.redis_url
    if url is None or not is_remote(url) or url.startswith("rediss"):
        return None
    return "Redis is reached over a network without TLS: write rediss:// in REDIS_URL."


def _plain_database(facts: Facts) -> str | None:
    url, database = facts.settings.database_url, facts.database
    if url is None or not is_remote(url) or database is None or database.encrypted:
        return None
    return (
        "The database is reached over a network without TLS, and password hashes travel there: add"
        " ?sslmode=verify-full to DATABASE_URL, or require."
    )


def _hash_time(facts: Facts) -> str | None:
    if facts.hash_time is None or _HASH_MIN <= facts.hash_time <= _HASH_MAX:
        return None
    cost, milliseconds = facts.settings.bcrypt_cost, facts.hash_time.total_seconds() * 1000
    took = f"A hash at BCRYPT_COST {cost} takes {milliseconds:.0f} ms here"
    if facts.hash_time < _HASH_MIN:
        return f"{took}, and guessing is cheap: set BCRYPT_COST to {min(COST_MAX, cost + 1)}."
    remedy = f"set BCRYPT_COST to {cost - 1}" if cost > COST_MIN else "run it on a faster machine"
    return f"{took}, and logins wait for each other: {remedy}."


def _dear_hashes(facts: Facts) -> str | None:
    if facts.database is None or facts.database.dearest is None:
        return None
    dearest, cost = facts.database.dearest, facts.settings.bcrypt_cost
    return (
        f"Some hashes have cost {dearest}, and BCRYPT_COST is {cost}: until their users have signed in once,"
        f" the time of a refusal tells that they exist. Set BCRYPT_COST to {dearest}, or wait for them."
    )


def _lost_users(facts: Facts) -> str | None:
    url = facts.settings.database_url
    if not facts.settings.dyno or (url is not None and not url.startswith("sqlite:")):
        return None
    return "Users and sessions live on the dyno's disk, and end with the dyno: attach a PostgreSQL database."


def _local_users(facts: Facts) -> str | None:
    settings = facts.settings
    if not settings.production or settings.dyno or settings.database_url is not None:
        return None
    return (
        f"DATABASE_URL is not set, so users and sessions live in DATA_DIR ({settings.data_dir}): see that it"
        " outlives a deploy, or name a PostgreSQL server."
    )


def _private_redis(facts: Facts) -> str | None:
    if not facts.settings.production or facts.settings.redis_url is not None:
        return None
    return (
        "REDIS_URL is not set, so every instance has a Redis of its own and counts login attempts by itself:"
        " set it to one for all."
    )


def _limits_off(facts: Facts) -> str | None:
    off = [name.upper() for name in _LIMITS if getattr(facts.settings, name) is None]
    return f"No limit is in force where it was set to 0: unset {', '.join(off)}." if off else None


def _not_installed(facts: Facts) -> str | None:
    return " ".join(facts.not_installed) or None


_CHECKS: dict[str, tuple[Severity, Callable[[Facts], str | None]]] = {
    "database_unreachable": (Severity.MUST, _unreachable),
    "demo_user": (Severity.MUST, _demo_user),
    "weak_key": (Severity.MUST, _weak_key),
    "pending_migrations": (Severity.MUST, _pending_migrations),
    "old_redis": (Severity.MUST, _old_redis),
    "everybody_a_proxy": (Severity.MUST, _everybody_a_proxy),
    "lost_users": (Severity.MUST, _lost_users),
    "silent_redis": (Severity.WARNING, _silent_redis),
    "evicting_redis": (Severity.WARNING, _evicting_redis),
    "clock_of_redis": (Severity.WARNING, _clock_of_redis),
    "clock_of_the_database": (Severity.WARNING, _clock_of_the_database),
    "router_unknown": (Severity.WARNING, _router_unknown),
    "proxy_unknown": (Severity.WARNING, _proxy_unknown),
    "plain_http": (Severity.WARNING, _plain_http),
    "plain_redis": (Severity.WARNING, _plain_redis),
    "plain_database": (Severity.WARNING, _plain_database),
    "hash_time": (Severity.WARNING, _hash_time),
    "dear_hashes": (Severity.WARNING, _dear_hashes),
    "local_users": (Severity.WARNING, _local_users),
    "private_redis": (Severity.WARNING, _private_redis),
    "limits_off": (Severity.WARNING, _limits_off),
    "not_installed": (Severity.WARNING, _not_installed),
    "later_migrations": (Severity.HINT, _later_migrations),
}
