"""Build the use cases over their stores, once per process: for the app, for scripts and for tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from service import embedded, uncancelled
from service.clock import Clock, utc_now
from service.errors import Budget
from service.security.accounts import AccountHash
from service.security.hashing_pool import HashingPool
from service.security.key_ring import KeyRing
from service.security.password_policy import PasswordPolicy
from service.security.passwords import Passwords
from service.security.published_keys import jwk_set
from service.security.tokens import TokenCodec
from service.settings import Rate, Settings
from service.stores.attempt_counters import RedisCounters
from service.stores.bulk_revocations import BulkRevocations
from service.stores.database import Database
from service.stores.database_url import connection
from service.stores.last_seen import LastSeen
from service.stores.local_counters import LocalCounters
from service.stores.login_guard import LoginGuard, LoginLimits
from service.stores.login_history import LoginHistory
from service.stores.minting import Mint
from service.stores.pipeline import Commands
from service.stores.rate_limits import Bucket, LocalRates, NetworkRate, SessionRate
from service.stores.redis_url import connect
from service.stores.revocations import Revocations
from service.stores.revoked import RevokedList
from service.stores.revoked_keeper import RevokedKeeper
from service.stores.security_events import SecurityEvents
from service.stores.session_rows import SessionRows
from service.stores.sessions import SessionStore
from service.use_cases.authenticate import Authenticate
from service.use_cases.change_password import ChangePassword
from service.use_cases.check_health import CheckHealth
from service.use_cases.choose_sessions import ChooseSessions
from service.use_cases.create_demo_user import CreateDemoUser
from service.use_cases.create_user import CreateUser
from service.use_cases.delete_user import DeleteUser
from service.use_cases.disable_user import DisableUser
from service.use_cases.enable_user import EnableUser
from service.use_cases.end_session import EndSession
from service.use_cases.examine import Examine
from service.use_cases.explain_login import ExplainLogin
from service.use_cases.find_session import FindSession
from service.use_cases.find_user import FindUser
from service.use_cases.hand_out import HandOut
from service.use_cases.import_users import ImportUsers
from service.use_cases.introspect import Introspect
from service.use_cases.list_blocks import ListBlocks
from service.use_cases.list_sessions import ListSessions
from service.use_cases.list_users import ListUsers
from service.use_cases.log_in import LogIn
from service.use_cases.log_out import LogOut
from service.use_cases.note_signing_key import NoteSigningKey
from service.use_cases.observe import Observe
from service.use_cases.prune import Prune
from service.use_cases.read_events import ReadEvents
from service.use_cases.refresh import Refresh
from service.use_cases.rename_user import RenameUser
from service.use_cases.revoke import Revoke
from service.use_cases.revoke_token import RevokeToken
from service.use_cases.set_password import SetPassword
from service.use_cases.show_user import ShowUser
from service.use_cases.unblock_login import UnblockLogin
from service.use_cases.verify_password import VerifyPassword

# An attempt that is pending for longer than the deadline and this belongs to a worker that has died.
_SETTLED_AFTER_DEADLINE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class UseCases:
    """All that the service does."""

    log_in: LogIn
    authenticate: Authenticate
    verify: Authenticate  # for gateways: charged to no session
    introspect: Introspect
    revoke_token: RevokeToken
    jwks: dict[str, list[dict[str, Any]]]  # the public keys
    log_out: LogOut
    refresh: Refresh
    change_password: ChangePassword
    list_sessions: ListSessions
    end_session: EndSession
    choose_sessions: ChooseSessions
    find_session: FindSession
    revoke: Revoke
    find_user: FindUser
    read_events: ReadEvents
    create_user: CreateUser
    create_demo_user: CreateDemoUser
    set_password: SetPassword
    disable_user: DisableUser
    enable_user: EnableUser
    rename_user: RenameUser
    delete_user: DeleteUser
    import_users: ImportUsers
    list_users: ListUsers
    show_user: ShowUser
    explain_login: ExplainLogin
    list_blocks: ListBlocks
    observe: Observe
    unblock_login: UnblockLogin
    prune: Prune
    check_health: CheckHealth
    examine: Examine
    note_signing_key: NoteSigningKey
    revoked_keeper: RevokedKeeper  # for a process that authenticates: to be started
    last_seen: LastSeen  # likewise
    events: SecurityEvents  # likewise
    network_rate: NetworkRate
    login_budget: Budget | None  # of an account that nobody has tried; None: no limit


def database_url(settings: Settings) -> str:
    return settings.database_url or embedded.database_url(settings.data_dir)


def redis_url(settings: Settings) -> str:
    return settings.redis_url or embedded.redis_url(settings.data_dir)


def key_ring(settings: Settings) -> KeyRing:
    if settings.jwt_keys is not None:
        return KeyRing.from_jwks(settings.jwt_keys)
    return KeyRing.from_secret(settings.jwt_secret or embedded.development_key(settings.data_dir))


def check(settings: Settings) -> None:
    """Raise SettingsError for what only the readers of keys and URLs understand, before anything starts."""
    key_ring(settings)
    connection(database_url(settings), settings.database_timeout)
    connect(redis_url(settings), settings.redis_timeout)


def prepare_data_dir(settings: Settings) -> None:
    """Make the data directory, if anything of this configuration lives in it, or raise UnusableDataDir."""
    has_key = settings.jwt_secret is not None or settings.jwt_keys is not None
    if settings.database_url is None or settings.redis_url is None or not has_key:
        embedded.prepare(settings.data_dir)


@contextmanager
def embedded_parts(settings: Settings, *, outlive_others: bool = False) -> Iterator[None]:
    """Keep the embedded Redis running where the settings ask for one and no running service keeps it.

    With `outlive_others` it is kept in any case: whoever keeps it now may end first.
    """
    prepare_data_dir(settings)
    kept_by_others = not outlive_others and embedded.is_running(settings.data_dir)
    if settings.redis_url is not None or kept_by_others:
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
    redis = connect(redis_url(settings), settings.redis_timeout)
    hashing = HashingPool(nice=settings.hash_nice, deadline=settings.login_deadline)
    await database.open()
    try:
        use_cases = build(settings, clock, database, redis, hashing)
        try:
            yield use_cases
        finally:
            await uncancelled.finish_all()
            await use_cases.events.write_the_last()
    finally:
        await redis.close()
        await database.close()
        await asyncio.to_thread(hashing.close)


def build(
    settings: Settings, clock: Clock, database: Database, redis: Commands, hashing: HashingPool
) -> UseCases:
    keys = key_ring(settings)
    codec = TokenCodec(keys, settings.jwt_issuer, settings.session_max_ttl)
    passwords = Passwords(settings.bcrypt_cost)
    policy = PasswordPolicy(settings.password_min_length)
    local_rates = LocalRates(settings.workers)
    last_seen = LastSeen(database, clock)
    revoked = RevokedList(database, settings.session_max_ttl, clock)
    sessions = SessionStore(
        redis,
        SessionRows(database),
        revoked,
        SessionRate(local_rates, _bucket("session", settings.limit_session)),
        settings.session_max_ttl,
    )
    unrated = replace(sessions, rate=SessionRate(local_rates, None))
    events = SecurityEvents(database, clock)
    revocations = Revocations(database, sessions, events)
    mint = Mint(
        database,
        revocations,
        events,
        settings.session_ttl,
        settings.session_max_ttl,
        settings.sessions_per_user,
    )
    hand_out = HandOut(sessions, revocations, codec)
    choose_sessions = ChooseSessions(database, clock)
    guard, history = _guard(settings, redis), LoginHistory(database)
    account_hash = AccountHash(keys.derive("account"))
    list_blocks = ListBlocks(history, account_hash, clock)
    find_user, create_user = FindUser(database), CreateUser(database, passwords, policy, events, clock)
    unblock_login = UnblockLogin(guard, account_hash, history, events, clock)
    verify_password = VerifyPassword(
        guard=guard,
        account_hash=account_hash,
        hashing=hashing,
        passwords=passwords,
        history=history,
        events=events,
        demo_allowed=settings.demo_allowed,
        clock=clock,
    )
    return UseCases(
        log_in=LogIn(verify_password, mint, hand_out, events, clock),
        authenticate=Authenticate(codec, sessions, last_seen, clock),
        verify=Authenticate(codec, unrated, last_seen, clock),
        introspect=Introspect(codec, unrated, settings.jwt_issuer, clock),
        revoke_token=RevokeToken(revocations, codec, clock),
        jwks=jwk_set(keys),
        log_out=LogOut(revocations, clock),
        refresh=Refresh(mint, hand_out, events, clock),
        change_password=ChangePassword(
            verify_password, policy, passwords, hashing, mint, revocations, hand_out, clock
        ),
        list_sessions=ListSessions(database, clock),
        end_session=EndSession(database, revocations, clock),
        choose_sessions=choose_sessions,
        find_session=FindSession(database, codec),
        revoke=Revoke(choose_sessions, BulkRevocations(database, sessions, revocations, events), clock),
        find_user=find_user,
        read_events=ReadEvents(database, account_hash, clock),
        create_user=create_user,
        create_demo_user=CreateDemoUser(create_user),
        set_password=SetPassword(find_user, revocations, unblock_login, passwords, policy, clock),
        disable_user=DisableUser(find_user, revocations, clock),
        enable_user=EnableUser(find_user, events, clock),
        rename_user=RenameUser(find_user, revocations, clock),
        delete_user=DeleteUser(find_user, revocations, clock),
        import_users=ImportUsers(database, events, settings.bcrypt_cost, clock),
        list_users=ListUsers(database),
        show_user=ShowUser(find_user, account_hash, history, clock),
        explain_login=ExplainLogin(guard, account_hash, history, clock),
        list_blocks=list_blocks,
        observe=Observe(database, redis, list_blocks, clock),
        unblock_login=unblock_login,
        prune=Prune(database, events, settings.event_retention, clock),
        check_health=CheckHealth(database, redis),
        examine=Examine(settings, database, redis, passwords, keys, clock),
        note_signing_key=NoteSigningKey(database, events, keys.signing_key.kid, clock),
        login_budget=guard.untouched,
        revoked_keeper=RevokedKeeper(revoked, sessions, redis, clock),
        last_seen=last_seen,
        events=events,
        network_rate=NetworkRate(redis, local_rates, _bucket("network", settings.limit_network)),
    )


def _bucket(policy: str, rate: Rate | None) -> Bucket | None:
    return None if rate is None else Bucket.of(policy, rate)


def _guard(settings: Settings, redis: Commands) -> LoginGuard:
    stale_after = settings.login_deadline + _SETTLED_AFTER_DEADLINE
    return LoginGuard(
        RedisCounters(redis, stale_after),
        LocalCounters(stale_after),
        _login_limits(settings),
        settings.workers,
        patience=settings.login_deadline,
    )


def _login_limits(settings: Settings) -> LoginLimits:
    return LoginLimits(settings.limit_login, settings.limit_login_account, settings.limit_login_network)
