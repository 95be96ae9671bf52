"""Open or extend a session, in one transaction, for a user who is still who she was."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tortoise.queryset import QuerySet

from models import IssuedToken, Session, User
from models.session import AGENT_MAX_LENGTH
from service.errors import Unauthenticated
from service.security.networks import Client
from service.security.tokens import Claims, new_id
from service.stores.database import Database
from service.stores.revocations import end_rows
from service.stores.sessions import SessionCopy, copy_of


@dataclass(frozen=True, slots=True)
class Minted:
    """A recorded token's claims, its session's copy for Redis, and the sessions the cap on them ended."""

    claims: Claims
    copy: SessionCopy
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
    session_ttl: timedelta
    session_max_ttl: timedelta
    sessions_per_user: int

    async def open_session(self, user: User, client: Client, now: datetime) -> Minted:
        """Open a session and record its first token."""

        async def work() -> Minted:
            await _hold(user)
            minted = await self._new_session(user, user.session_version, client, now)
            return Minted(minted.claims, minted.copy, await self._evict(user, now))

        return await self.database.write(work)

    async def change_password(self, user: User, password_hash: str, client: Client, now: datetime) -> Minted:
        """Set a new password, end every session of the user, and open a new one."""

        async def work() -> Minted:
            await _set_password(user, password_hash, now)
            await end_rows(
                Session.filter(user_id=user.id), by=f"user:{user.id}", why="password_changed", now=now
            )
            return await self._new_session(user, user.session_version + 1, client, now)

        return await self.database.write(work)

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
            return Minted(await _record_token(row, now), copy_of(row))

        return await self.database.write(work)

    async def _new_session(self, user: User, version: int, client: Client, now: datetime) -> Minted:
        row = Session(
            id=new_id(),
            user=user,
            version=version,
            ip=client.address,
            agent=client.agent[:AGENT_MAX_LENGTH],
            started_at=now,
            expires_at=self._end(now, now),
            last_seen_at=now,
        )
        await row.save(force_create=True)
        return Minted(await _record_token(row, now), copy_of(row))

    def _end(self, started_at: datetime, now: datetime) -> datetime:
        return min(now + self.session_ttl, started_at + self.session_max_ttl)

    async def _evict(self, user: User, now: datetime) -> Sequence[Session]:
        """End the oldest sessions beyond the cap."""
        if self.sessions_per_user == 0:
            return ()
        alive = Session.filter(user_id=user.id, revoked_at=None, expires_at__gt=now)
        surplus = await alive.order_by("-started_at", "-id").offset(self.sessions_per_user)
        if surplus:
            chosen = Session.filter(id__in=[row.id for row in surplus])
            await end_rows(chosen, by=f"user:{user.id}", why="sessions_per_user", now=now)
        return surplus


async def _hold(user: User) -> None:
    """Lock the user's row by a write that changes nothing, if she is still as she was read."""
    held = await _unchanged(user).update(active=True)
    if not held:
        raise Unauthenticated


async def _set_password(user: User, password_hash: str, now: datetime) -> None:
    changed = await _unchanged(user).update(
        password_hash=password_hash,
        session_version=user.session_version + 1,
        session_version_changed_at=now,
        updated_at=now,
    )
    if not changed:
        raise Unauthenticated


def _unchanged(user: User) -> QuerySet[User]:
    return User.filter(id=user.id, active=True, session_version=user.session_version)


async def _record_token(row: Session, now: datetime) -> Claims:
    claims = Claims(
        user_id=row.user_id,
        sid=row.id,
        jti=new_id(),
        version=row.version,
        issued_at=now,
        expires_at=row.expires_at,
    )
    await IssuedToken.create(jti=claims.jti, session_id=row.id, issued_at=now, expires_at=row.expires_at)
    return claims
