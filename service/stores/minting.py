"""Open or extend a session, in one transaction, for a user who is still who she was."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tortoise.queryset import QuerySet

from models import IssuedToken, Session, User
from models.session import AGENT_MAX_LENGTH
from service.errors import Unauthenticated
from service.security.claims import Claims
from service.security.networks import Client
from service.security.principal import Principal
from service.security.tokens import new_id
from service.stores.database import Database
from service.stores.login_history import forget_networks, remember_network
from service.stores.revocations import Revocations
from service.stores.security_events import SecurityEvents
from service.stores.sessions import copy_of
from service.telemetry.events import Event, short
from service.uncancelled import in_background

# What `_hold`, the session's row and the token's are for the models, in one statement and one round trip: a
# sixth of what a login costs beside its hash. SQLite knows no such statement, and has no round trip.
_OPEN_ON_POSTGRES = """
    WITH held AS (
        UPDATE users SET active = TRUE WHERE id = $1 AND active AND session_version = $2 RETURNING id
    ), opened AS (
        INSERT INTO sessions (id, user_id, version, ip, agent, started_at, expires_at, last_seen_at)
        SELECT $3, id, $2, $4, $5, $6, $7, $6 FROM held RETURNING id
    )
    INSERT INTO issued_tokens (jti, session_id, issued_at, expires_at)
    SELECT $8, id, $6, $7 FROM opened RETURNING jti
"""


@dataclass(frozen=True, slots=True)
class Minted:
    """A recorded token's claims, its session's copy for Redis, and the sessions the cap on them ended."""

    claims: Claims
    copy: Principal
    evicted: Sequence[Session] = field(default=())


@dataclass(frozen=True, slots=True)
class Mint:
    """Records tokens. Each method raises Unauthenticated if the user changed since she was read.

    Every transaction begins by writing the user's row with her active flag and session version as
    conditions. So it waits for, or makes wait, whatever disables her, revokes her sessions or changes her
    password, and no token outlives an acknowledged one of those. The hash need not be compared: whatever
    sets a password raises the version, and an upgrade of the stored hash must not refuse a login.
    """

    database: Database
    revocations: Revocations
    events: SecurityEvents
    session_ttl: timedelta
    session_max_ttl: timedelta
    sessions_per_user: int

    async def open_session(self, user: User, client: Client, now: datetime, *, remember: bool) -> Minted:
        """Open a session and record its first token; with `remember`, the network becomes a known one."""

        async def work() -> Minted:
            await _hold(user)
            if remember:
                await remember_network(user.id, client.network, now)
            minted = await self._new_session(user, user.session_version, client, now)
            return Minted(minted.claims, minted.copy, await self._evict(user, minted.claims.sid, now))

        if remember or self.sessions_per_user or self.database.on_sqlite:
            return await self.database.write(work)
        return await self._open_at_once(user, client, now)

    async def change_password(self, user: User, password_hash: str, client: Client, now: datetime) -> Minted:
        """Set a new password, end every session of the user, and open a new one.

        Every network but this one becomes unknown: whoever knew the old password may have come from there.
        """

        by, why = f"user:{user.id}", "password_changed"

        async def work() -> tuple[Minted, bool]:
            await self._set_password(user, password_hash, now)
            await forget_networks(user.id)
            await remember_network(user.id, client.network, now)
            more = await self.revocations.mark_some([user.id], by=by, why=why, now=now)
            return await self._new_session(user, user.session_version + 1, client, now), more

        def event(done: tuple[Minted, bool]) -> Event:
            sid = short(done[0].claims.sid)
            return Event("password_changed", now, user.id, network=client.network, sid=sid)

        minted, more = await self.events.commit(work, event)
        if more:
            in_background(self.revocations.mark_all([user.id], by=by, why=why, now=now))
        return minted

    async def extend_session(self, user_id: int, sid: str, now: datetime) -> Minted:
        """Record a further token of a session, and move its end; never past its absolute end."""

        async def work() -> Minted:
            # The first statement: it locks the row against a revocation until the token is recorded.
            alive = await Session.filter(id=sid, user_id=user_id, revoked_at=None).update(last_seen_at=now)
            if not alive:
                raise Unauthenticated
            row = await Session.get(id=sid).select_related("user")
            if not row.user.active or row.version < row.user.session_version:
                raise Unauthenticated
            row.expires_at = max(row.expires_at, self._end(row.started_at, now))
            if row.expires_at <= now:
                raise Unauthenticated
            await row.save(update_fields=["expires_at"])
            return Minted(await _record_token(row, now), copy_of(row, row.user))

        return await self.database.write(work)

    async def _open_at_once(self, user: User, client: Client, now: datetime) -> Minted:
        """Open a session and do nothing besides."""
        row = self._session(user, user.session_version, client, now)
        claims = _claims_of(row, now)
        opened = await self.database.rows(
            _OPEN_ON_POSTGRES,
            user.id,
            row.version,
            row.id,
            row.ip,
            row.agent,
            row.started_at,
            row.expires_at,
            claims.jti,
        )
        if not opened:
            raise Unauthenticated
        return Minted(claims, copy_of(row, user))

    async def _new_session(self, user: User, version: int, client: Client, now: datetime) -> Minted:
        row = self._session(user, version, client, now)
        await row.save(force_create=True)
        return Minted(await _record_token(row, now), copy_of(row, user))

    def _session(self, user: User, version: int, client: Client, now: datetime) -> Session:
        # Session() would look at every value. They are ours, and lengths are checked as it is saved.
        return Session.construct(
            id=new_id(),
            user_id=user.id,
            version=version,
            ip=client.address,
            agent=client.agent[:AGENT_MAX_LENGTH],
            started_at=now,
            expires_at=self._end(now, now),
            last_seen_at=now,
        )

    def _end(self, started_at: datetime, now: datetime) -> datetime:
        return min(now + self.session_ttl, started_at + self.session_max_ttl)

    async def _evict(self, user: User, newest: str, now: datetime) -> Sequence[Session]:
        """End the oldest sessions beyond the cap; never the one just opened.

        It may seem older than others: by a clock that is behind theirs, or since its hash had to wait.
        """
        if self.sessions_per_user == 0:
            return ()
        others = Session.filter(user_id=user.id, revoked_at=None, expires_at__gt=now).exclude(id=newest)
        surplus = await others.order_by("-started_at", "-id").offset(self.sessions_per_user - 1)
        if surplus:
            chosen = Session.filter(id__in=[row.id for row in surplus])
            await self.revocations.end_rows(chosen, by=f"user:{user.id}", why="sessions_per_user", now=now)
        return surplus

    async def _set_password(self, user: User, password_hash: str, now: datetime) -> None:
        changed = await _unchanged(user).update(
            password_hash=password_hash, **self.revocations.raised_version(now)
        )
        if not changed:
            raise Unauthenticated


async def _hold(user: User) -> None:
    """Lock the user's row by a write that changes nothing, if she is still as she was read."""
    held = await _unchanged(user).update(active=True)
    if not held:
        raise Unauthenticated


def _unchanged(user: User) -> QuerySet[User]:
    return User.filter(id=user.id, active=True, session_version=user.session_version)


async def _record_token(row: Session, now: datetime) -> Claims:
    claims = _claims_of(row, now)
    await IssuedToken.create(
        jti=claims.jti, session_id=row.id, issued_at=claims.issued_at, expires_at=claims.expires_at
    )
    return claims


def _claims_of(row: Session, now: datetime) -> Claims:
    """Make the claims of a fresh token of the session."""
    return Claims(
        user_id=row.user_id,
        sid=row.id,
        jti=new_id(),
        version=row.version,
        issued_at=now,
        expires_at=row.expires_at,
    )
