"""Build the use cases over their stores, once per process: for the app, for scripts and for tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from service import embedded, uncancelled
from service.clock import Clock, utc_now
from service.errors import Budget
from service.security.accounts import AccountHash
from service.security.hashing_pool import HashingPool
from service.security.key_ring import KeyRing
from service.security.password_policy import PasswordPolicy
from service.security.passwords import Passwords
from service.security.tokens import TokenCodec
from service.settings import Settings
from service.stores.database import Database
from service.stores.login_guard import Guard, LoginGuard, OpenGuard
from service.stores.minting import Mint
from service.stores.pipeline import Pipeline
from service.stores.revocations import Revocations
from service.stores.sessions import SessionStore
from service.use_cases.authenticate import Authenticate
from service.use_cases.change_password import ChangePassword
from service.use_cases.check_health import CheckHealth
from service.use_cases.end_session import EndSession
from service.use_cases.hand_out import HandOut
from service.use_cases.list_sessions import ListSessions
from service.use_cases.log_in import LogIn
from service.use_cases.log_out import LogOut
from service.use_cases.manage_users import ManageUsers
from service.use_cases.refresh import Refresh
from service.use_cases.revoke import Revoke
from service.use_cases.verify_password import VerifyPassword


@dataclass(frozen=True, slots=True)
class UseCases:
    """All that the service does."""

    log_in: LogIn
    authenticate: Authenticate
    log_out: LogOut
    refresh: Refresh
    change_password: ChangePassword
    list_sessions: ListSessions
    end_session: EndSession
    revoke: Revoke
    manage_users: ManageUsers
    check_health: CheckHealth
    login_budget: Budget | None  # of an account that nobody has tried; None: no limit


def database_url(settings: Settings) -> str:
    return settings.database_url or embedded.database_url(settings.data_dir)


def redis_url(settings: Settings) -> str:
    return settings.redis_url or embedded.redis_url(settings.data_dir)


def key_ring(settings: Settings) -> KeyRing:
    if settings.jwt_keys is not None:
        return KeyRing.from_jwks(settings.jwt_keys)
    return KeyRing.from_secret(settings.jwt_secret or embedded.development_key(settings.data_dir))


def prepare_data_dir(settings: Settings) -> None:
    """Make the data directory, if anything of this configuration lives in it, or raise EmbeddedError."""
    has_key = settings.jwt_secret is not None or settings.jwt_keys is not None
    if settings.database_url is None or settings.redis_url is None or not has_key:
        embedded.prepare(settings.data_dir)


@contextmanager
def embedded_parts(settings: Settings) -> Iterator[None]:
    """Keep the embedded Redis running where the settings ask for one and no running service keeps it."""
    prepare_data_dir(settings)
    if settings.redis_url is not None or embedded.is_running(settings.data_dir):
        yield
        return
    with embedded.server(settings.data_dir):
        yield


@asynccontextmanager
async def open_use_cases(settings: Settings, clock: Clock = utc_now) -> AsyncIterator[UseCases]:
    """Build the use cases; close their stores at the end, after everything begun has ended.

    Nothing is connected to before its first use, so an outage does not keep the service from starting.
    """
    database = Database(database_url(settings), settings.database_timeout)
    redis = Pipeline.connect(redis_url(settings), settings.redis_timeout)
    hashing = HashingPool(nice=settings.hash_nice, deadline=settings.login_deadline)
    await database.open()
    try:
        yield build(settings, clock, database, redis, hashing)
    finally:
        await uncancelled.finish_all()
        await redis.close()
        await database.close()
        await asyncio.to_thread(hashing.close)


def build(
    settings: Settings, clock: Clock, database: Database, redis: Pipeline, hashing: HashingPool
) -> UseCases:
    keys = key_ring(settings)
    codec = TokenCodec(keys, settings.jwt_issuer)
    passwords = Passwords(settings.bcrypt_cost)
    policy = PasswordPolicy(settings.password_min_length)
    sessions = SessionStore(redis, database, settings.session_max_ttl)
    revocations = Revocations(database, sessions)
    mint = Mint(database, settings.session_ttl, settings.session_max_ttl, settings.sessions_per_user)
    hand_out = HandOut(sessions, revocations, codec)
    verify_password = VerifyPassword(
        guard=_guard(settings, redis),
        account_hash=AccountHash(keys.derive("account")),
        hashing=hashing,
        passwords=passwords,
        database=database,
        demo_allowed=settings.demo_allowed,
    )
    return UseCases(
        log_in=LogIn(verify_password, mint, hand_out, clock),
        authenticate=Authenticate(codec, sessions, clock),
        log_out=LogOut(revocations, clock),
        refresh=Refresh(mint, hand_out, clock),
        change_password=ChangePassword(
            verify_password, policy, passwords, hashing, mint, sessions, hand_out, clock
        ),
        list_sessions=ListSessions(database, clock),
        end_session=EndSession(database, revocations, clock),
        revoke=Revoke(database, revocations, codec, clock),
        manage_users=ManageUsers(database, revocations, passwords, policy, clock),
        check_health=CheckHealth(database, redis),
        login_budget=verify_password.guard.untouched,
    )


def _guard(settings: Settings, redis: Pipeline) -> Guard:
    if settings.limit_login is None:
        return OpenGuard()
    return LoginGuard(redis, settings.limit_login, settings.workers)
