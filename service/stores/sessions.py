"""Say whether a session is alive: Redis answers, the database decides."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

from models import Session, User
from service.clock import rfc3339
from service.errors import Budget, DatabaseUnavailable, RedisUnavailable, Unauthenticated
from service.security.claims import Claims
from service.security.principal import Principal
from service.security.tokens import KEEP_AFTER_END
from service.stores import keys
from service.stores.pipeline import Commands, Script, ScriptCall
from service.stores.rate_limits import SessionRate
from service.stores.revoked import RevokedList
from service.stores.session_rows import SessionRows
from service.telemetry import metrics
from service.telemetry.events import short
from service.uncancelled import in_background

log = logging.getLogger("service")

TOMBSTONE = "revoked"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Principal).decode
_check_session = Script("gcra", "check_session")
_open_session = Script("open_session")
_bury_sessions = Script("bury_sessions")
_raise_version = Script("raise_version")


@dataclass(frozen=True, slots=True)
class SessionStore:
    """The sessions in Redis, the rows behind them, and the list of what is revoked.

    Redis answers; what it does not know is read from the database; what it wrongly believes alive, the list
    denies. Without Redis every check is a query. Without the database, Redis and the list as it stands are
    enough: nothing can be revoked meanwhile. With neither there is DatabaseUnavailable.
    """

    redis: Commands
    rows: SessionRows
    revoked: RevokedList
    rate: SessionRate
    session_max_ttl: timedelta

    async def check(self, claims: Claims) -> tuple[Principal, Budget | None]:
        """Return the session that the claims name if it is alive, and what its rate limit has left.

        Raises Unauthenticated if it is not, TooManyRequests if there is nothing left.
        """
        try:
            copy, version, *charged = await self.redis.call(
                _check(claims.user_id, claims.sid, claims.version, self.rate.arguments)
            )
        except RedisUnavailable:
            return await self._row(claims), self.rate.charged(claims.sid, ())
        metrics.CHECKS.count("redis")
        alive = _alive(copy, version, claims)
        if self.revoked.denies(claims):
            metrics.CHECKS.count("revoked_list")
            in_background(self._correct(copy, claims))
            raise Unauthenticated
        # A copy that ends before the token does was written before a refresh that Redis has not heard of.
        if alive is None or alive.expires_at < claims.expires_at or not self.revoked.fresh:
            alive = await self._ask_the_database(alive, claims)
        return alive, self.rate.charged(claims.sid, charged)

    async def _ask_the_database(self, alive: Principal | None, claims: Claims) -> Principal:
        """Have what Redis holds confirmed, or found where it holds too little."""
        try:
            row = await self._row(claims)
        except DatabaseUnavailable:
            # Nothing was revoked since the list was last read: there was nobody to commit it.
            if alive is None or not self.revoked.loaded:
                raise
            return alive
        if alive != row:
            self.put_soon(row)
        return row

    async def put(self, copy: Principal) -> None:
        """Write the copy of a session that the database holds as alive; does nothing over a tombstone."""
        forget_copy = copy.expires_at + KEEP_AFTER_END
        await self.redis.run(
            _open_session,
            [keys.session(copy.user_id, copy.sid), keys.version(copy.user_id)],
            _encode(copy),
            rfc3339(copy.expires_at),
            _unix(forget_copy),
            copy.version,
            _unix(forget_copy + self.session_max_ttl),
        )

    def put_soon(self, copy: Principal) -> None:
        """Likewise, with nobody waiting; until it is written, the database is asked."""
        in_background(self._put_if_it_can(copy))

    async def bury(self, user_id: int, sid: str, end: datetime) -> None:
        """Write the tombstone of a session that the database holds as revoked."""
        forget = _unix(end + KEEP_AFTER_END)
        await self.redis.execute("SET", keys.session(user_id, sid), TOMBSTONE, "EXAT", forget)

    async def bury_all(self, ends: Mapping[int, Mapping[str, datetime]]) -> None:
        """Likewise of many sessions, by user and by their ends: in one command for each user."""
        await asyncio.gather(*(self._bury_those_of(user_id, of_hers) for user_id, of_hers in ends.items()))

    async def _bury_those_of(self, user_id: int, ends: Mapping[str, datetime]) -> None:
        named = [keys.session(user_id, sid) for sid in ends]
        await self.redis.run(_bury_sessions, named, *(_unix(end + KEEP_AFTER_END) for end in ends.values()))

    async def raise_version(self, user_id: int, version: int, now: datetime) -> None:
        """Kill every token of the user that carries an older version than this one."""
        forget = _unix(now + self.session_max_ttl + KEEP_AFTER_END)
        await self.redis.run(_raise_version, [keys.version(user_id)], version, forget)

    async def _put_if_it_can(self, copy: Principal) -> None:
        with suppress(RedisUnavailable):
            await self.put(copy)

    async def _correct(self, copy: str | None, claims: Claims) -> None:
        """Give a Redis that remembers wrongly the tombstone it has lost."""
        log.warning("revocation_lost_by_redis", extra={"sid": short(claims.sid), "alive": copy is not None})
        with suppress(RedisUnavailable):
            await self.bury(claims.user_id, claims.sid, claims.expires_at)

    async def _row(self, claims: Claims) -> Principal:
        row = await self.rows.get(claims.sid)
        metrics.CHECKS.count("database")
        # A key missing from Redis proves nothing, but a row missing from the database does.
        if row is None or not row.user.active or row.version < row.user.session_version:
            raise Unauthenticated
        copy = copy_of(row, row.user)
        # No token of ours ends after its session: this one was made by somebody who has our key.
        if not _is_of(copy, claims) or copy.expires_at < claims.expires_at:
            raise Unauthenticated
        return copy


def copy_of(row: Session, user: User) -> Principal:
    """Make the Redis copy of a session and its user."""
    return Principal(
        sid=row.id,
        user_id=row.user_id,
        version=row.version,
        issued_at=_whole_seconds(row.started_at),
        expires_at=_whole_seconds(row.expires_at),
        name=user.name,
        user=user.user,
    )


@lru_cache(10_000)  # some 10 MB at most; packing it anew takes a warm request 3 % longer
def _check(user_id: int, sid: str, version: int, rate: tuple[int, int]) -> ScriptCall:
    named = [keys.session(user_id, sid), keys.version(user_id), keys.rate_of_session(user_id, sid)]
    return _check_session.on(named, version, *rate)


def _alive(copy: str | None, version: str | None, claims: Claims) -> Principal | None:
    """Judge what Redis holds of a session; None where that is too little."""
    if copy == TOMBSTONE or (version is not None and _raised_above(claims.version, version)):
        raise Unauthenticated
    return _readable(copy, claims) if version is not None else None


def _raised_above(version: int, raised: str) -> bool:
    return raised.isdigit() and int(raised) > version


def _readable(text: str | None, claims: Claims) -> Principal | None:
    """Return the copy that Redis holds, if it is one of this very session; else the database shall tell."""
    if text is None:
        return None
    try:
        copy = _decode(text)
    except msgspec.MsgspecError:
        copy = None
    if copy is not None and _is_of(copy, claims):
        return copy
    # Somebody wrote into our Redis, or a reply went astray: nobody is let in by it, and nobody put out.
    log.error("session_copy_mismatch", extra={"sid": short(claims.sid)})
    return None


def _is_of(copy: Principal, claims: Claims) -> bool:
    return (copy.sid, copy.user_id, copy.version) == (claims.sid, claims.user_id, claims.version)


def _whole_seconds(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)


def _unix(at: datetime) -> int:
    return int(at.timestamp())
