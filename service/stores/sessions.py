"""Say whether a session is alive: Redis answers, the database decides."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from models import Session
from service.errors import RedisUnavailable, Unauthenticated
from service.security.tokens import KEEP_AFTER_END, Claims
from service.stores import keys
from service.stores.database import Database
from service.stores.pipeline import Pipeline, Script

TOMBSTONE = "revoked"


class SessionCopy(msgspec.Struct, frozen=True, rename={"user_id": "uid", "version": "ver"}):
    """What Redis holds of a session that is alive.

    It echoes its own id, so that no reply is taken for another's.
    """

    sid: str
    user_id: int
    version: int
    start: int  # Unix seconds
    end: int  # Unix seconds
    name: str
    user: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(SessionCopy).decode
_open_session = Script("open_session")
_raise_version = Script("raise_version")


@dataclass(frozen=True, slots=True)
class SessionStore:
    """The sessions in Redis and the rows behind them.

    Without Redis every check is a query; without the database the sessions Redis knows are still served.
    Only with neither is there DatabaseUnavailable.
    """

    redis: Pipeline
    database: Database
    session_max_ttl: timedelta

    async def check(self, claims: Claims) -> SessionCopy:
        """Return the session that the claims name if it is alive, else raise Unauthenticated."""
        try:
            copy, version = await self.redis.execute(
                "MGET", keys.session(claims.user_id, claims.sid), keys.version(claims.user_id)
            )
        except RedisUnavailable:
            return await self._row(claims)
        if copy == TOMBSTONE or (version is not None and int(version) > claims.version):
            raise Unauthenticated
        if copy is None or version is None:
            return await self._refill(claims)
        return _same_session(_decode(copy), claims)

    async def put(self, copy: SessionCopy) -> None:
        """Write the copy of a session that the database holds as alive; does nothing over a tombstone."""
        forget_version = copy.end + _seconds(self.session_max_ttl + KEEP_AFTER_END)
        await self.redis.run(
            _open_session,
            [keys.session(copy.user_id, copy.sid), keys.version(copy.user_id)],
            _encode(copy),
            copy.end,
            copy.end + _seconds(KEEP_AFTER_END),
            copy.version,
            forget_version,
        )

    async def bury(self, user_id: int, sid: str, end: datetime) -> None:
        """Write the tombstone of a session that the database holds as revoked."""
        forget = int((end + KEEP_AFTER_END).timestamp())
        await self.redis.execute("SET", keys.session(user_id, sid), TOMBSTONE, "EXAT", forget)

    async def raise_version(self, user_id: int, version: int, now: datetime) -> None:
        """Kill every token of the user that carries an older version than this one."""
        forget = int((now + self.session_max_ttl + KEEP_AFTER_END).timestamp())
        await self.redis.run(_raise_version, [keys.version(user_id)], version, forget)

    async def _refill(self, claims: Claims) -> SessionCopy:
        copy = await self._row(claims)
        # Without Redis the next request asks the database again; the answer is the same.
        with suppress(RedisUnavailable):
            await self.put(copy)
        return copy

    async def _row(self, claims: Claims) -> SessionCopy:
        row = await self.database.read(
            lambda: Session.filter(id=claims.sid, revoked_at=None).select_related("user").first()
        )
        # A key missing from Redis proves nothing, but a row missing from the database does.
        if row is None or not row.user.active or row.version < row.user.session_version:
            raise Unauthenticated
        return _same_session(copy_of(row), claims)


def copy_of(row: Session) -> SessionCopy:
    """Make the Redis copy of a session row whose user is loaded."""
    return SessionCopy(
        sid=row.id,
        user_id=row.user_id,
        version=row.version,
        start=int(row.started_at.timestamp()),
        end=int(row.expires_at.timestamp()),
        name=row.user.name,
        user=row.user.user,
    )


def _same_session(copy: SessionCopy, claims: Claims) -> SessionCopy:
    if (copy.sid, copy.user_id, copy.version) != (claims.sid, claims.user_id, claims.version):
        raise Unauthenticated
    return copy


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())
