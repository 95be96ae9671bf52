"""Remember what has been revoked, kept from the database: what overrules a Redis that remembers wrongly."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from service.clock import Clock
from service.errors import DatabaseUnavailable
from service.security.claims import Claims
from service.security.tokens import KEEP_AFTER_END
from service.stores.database import Database, read_time
from service.telemetry import metrics

REFRESH_EVERY = timedelta(milliseconds=250)
# A list older than that may miss what has been acknowledged meanwhile: the database is asked as well.
FRESH_FOR = timedelta(milliseconds=500)
# An end of sessions that Redis did not confirm is acknowledged this long after its commit: by then every
# process that reaches the database has read it, or knows that its list is too old.
KNOWN_EVERYWHERE_AFTER = timedelta(milliseconds=600)
_SWEEP_EVERY = timedelta(minutes=1)

# PostgreSQL numbers transactions in the order they began, and a late commit comes to light behind earlier
# ones. So the question is not "what is above the last number" but "what was not visible to the last look";
# the first condition only lets the index leave out what every look has seen.
# https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT
_CHANGES_ON_POSTGRES = """
    SELECT pg_current_snapshot()::text AS cursor, changed.*
    FROM (SELECT 1) AS always LEFT JOIN (
        SELECT id AS sid, user_id, NULL::int AS version, expires_at AS at
        FROM sessions
        WHERE revoked_change >= $1 AND expires_at > $3
          AND NOT pg_visible_in_snapshot(revoked_change::text::xid8, $2::text::pg_snapshot)
        UNION ALL
        SELECT NULL, id, session_version, session_version_changed_at
        FROM users
        WHERE version_change >= $1 AND session_version_changed_at > $4
          AND NOT pg_visible_in_snapshot(version_change::text::xid8, $2::text::pg_snapshot)
    ) AS changed ON TRUE
"""
# Nothing is visible in this snapshot, so everything is new to it.
_NOTHING_SEEN_ON_POSTGRES = "3:3:"
# SQLite has one writer at a time, so its numbers rise in the order of the commits.
_CHANGES_ON_SQLITE = """
    SELECT (SELECT COALESCE(MAX(revoked_change), 0) FROM sessions) AS sessions_cursor,
           (SELECT COALESCE(MAX(version_change), 0) FROM users) AS users_cursor, changed.*
    FROM (SELECT 1) AS always LEFT JOIN (
        SELECT id AS sid, user_id, NULL AS version, expires_at AS at FROM sessions
        WHERE revoked_change > ? AND expires_at > ?
        UNION ALL
        SELECT NULL, id, session_version, session_version_changed_at FROM users
        WHERE version_change > ? AND session_version_changed_at > ?
    ) AS changed ON TRUE
"""


class RevokedSession(NamedTuple):
    user_id: int
    sid: str
    end: datetime


class RaisedVersion(NamedTuple):
    user_id: int
    version: int
    at: datetime


Revoked = RevokedSession | RaisedVersion


@dataclass(slots=True)
class _Changes:
    """Asks the database for what became visible since it was last asked."""

    database: Database
    cursor: Any = None

    async def next(self, ending_after: datetime, raised_after: datetime) -> list[Revoked]:
        """Return them, but for sessions that ended and versions that were raised before these times."""
        if self.database.on_sqlite:
            return await self._next_on_sqlite(ending_after, raised_after)
        seen = self.cursor or _NOTHING_SEEN_ON_POSTGRES
        oldest = int(seen.partition(":")[0])
        rows = await self.database.rows(_CHANGES_ON_POSTGRES, oldest, seen, ending_after, raised_after)
        self.cursor = rows[0]["cursor"]
        return list(_read(rows))

    async def _next_on_sqlite(self, ending_after: datetime, raised_after: datetime) -> list[Revoked]:
        seen = self.cursor or (0, 0)
        times = str(ending_after), str(raised_after)
        rows = await self.database.rows(_CHANGES_ON_SQLITE, seen[0], times[0], seen[1], times[1])
        self.cursor = (max(seen[0], rows[0]["sessions_cursor"]), max(seen[1], rows[0]["users_cursor"]))
        return list(_read(rows))


class RevokedList:
    """The revoked sessions, and of every user the lowest session version still good.

    It can only deny. An entry goes when the last token it could deny has ended.
    """

    def __init__(
        self,
        database: Database,
        session_max_ttl: timedelta,
        clock: Clock,
        # Not the loop's: uvloop reads that once a turn, and a long turn would make an old list look fresh.
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._changes = _Changes(database)
        self._version_counts_for = session_max_ttl + KEEP_AFTER_END
        self._clock = clock
        self._monotonic = monotonic
        self._sessions: dict[str, datetime] = {}
        self._versions: dict[int, tuple[int, datetime]] = {}
        self._read_at = float("-inf")
        self._fresh_until = float("-inf")
        self._swept_at = float("-inf")

    @property
    def loaded(self) -> bool:
        return self._read_at > float("-inf")

    @property
    def fresh(self) -> bool:
        """Whether every revocation that may have been acknowledged is in here."""
        return self._monotonic() < self._fresh_until

    def __len__(self) -> int:
        return len(self._sessions) + len(self._versions)

    def denies(self, claims: Claims) -> bool:
        if claims.sid in self._sessions:
            return True
        version = self._versions.get(claims.user_id)
        return version is not None and claims.version < version[0]

    async def refresh(self) -> Sequence[Revoked]:
        """Read what became visible since the last time and return it; raise DatabaseUnavailable.

        After a failure everything is read anew: it may be another server that answers then.
        """
        asked_at, now = self._monotonic(), self._clock()
        try:
            changes = await self._changes.next(now - KEEP_AFTER_END, now - self._version_counts_for)
        except DatabaseUnavailable:
            self._changes.cursor = None
            raise
        new = [change for change in changes if self._add(change)]
        self._read_at = asked_at
        self._fresh_until = asked_at + FRESH_FOR.total_seconds()
        metrics.REVOKED_READ_AT.set(asked_at)
        self._sweep(now)
        metrics.REVOKED_ENTRIES.set(len(self))
        return new

    def _add(self, change: Revoked) -> bool:
        """Return whether it is news."""
        if isinstance(change, RevokedSession):
            news = change.sid not in self._sessions
            self._sessions[change.sid] = change.end + KEEP_AFTER_END
            return news
        known, _ = self._versions.get(change.user_id, (0, change.at))
        if change.version > known:
            self._versions[change.user_id] = (change.version, change.at + self._version_counts_for)
        return change.version > known

    def _sweep(self, now: datetime) -> None:
        if self._read_at - self._swept_at < _SWEEP_EVERY.total_seconds():
            return
        self._swept_at = self._read_at
        self._sessions = {sid: at for sid, at in self._sessions.items() if at > now}
        self._versions = {user: entry for user, entry in self._versions.items() if entry[1] > now}


def _read(rows: Sequence[dict[str, Any]]) -> Iterable[Revoked]:
    for row in rows:
        if row["user_id"] is None:
            continue  # the row that is there when nothing is
        at = read_time(row["at"])
        assert at is not None  # noqa: S101 - neither column can be null
        if row["sid"] is not None:
            yield RevokedSession(row["user_id"], row["sid"], at)
        else:
            yield RaisedVersion(row["user_id"], row["version"], at)
