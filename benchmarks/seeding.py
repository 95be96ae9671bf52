"""Make users and sessions, many at once: rows, Redis copies and tokens, without the price of a login each."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from benchmarks.servers import run_script
from benchmarks.site import Site
from models import IssuedToken, Session, User, fold_user
from service.clock import utc_now
from service.security.claims import Claims
from service.security.demo import DEMO_USER
from service.security.passwords import Passwords
from service.security.tokens import new_id
from service.stores.sessions import copy_of
from service.wiring import UseCases

PASSWORD = "correct horse battery staple"

_CHUNK = 1000


def make_users(here: Site, count: int, cost: int) -> list[str]:
    """Return the names of so many users with PASSWORD. Imported: that works on any database."""
    names, stored = [f"user {number}" for number in range(count)], Passwords(cost).hash(PASSWORD)
    path = here.directory / "users.jsonl"
    path.write_text("".join(json.dumps({"user": name, "password_hash": stored}) + "\n" for name in names))
    # A hash that costs more than what is set is not imported.
    run_script({**here.env, "BCRYPT_COST": str(cost)}, "users", "import", str(path))
    return names


async def seed(use_cases: UseCases, count: int) -> list[str]:
    """Return so many tokens of the demo user, each of a live session of its own."""
    issue = use_cases.log_in.hand_out.codec.issue
    return [issue(claims) async for claims in open_sessions(use_cases, count)]


async def open_sessions(use_cases: UseCases, count: int) -> AsyncIterator[Claims]:
    """Open so many sessions of the demo user, and say what their tokens would."""
    database = use_cases.log_in.mint.database
    user = await database.read(lambda: User.get(user_key=fold_user(DEMO_USER)))
    for begin in range(0, count, _CHUNK):
        for claims in await _open_chunk(use_cases, user, min(_CHUNK, count - begin)):
            yield claims


async def _open_chunk(use_cases: UseCases, user: User, count: int) -> list[Claims]:
    mint, hand_out = use_cases.log_in.mint, use_cases.log_in.hand_out
    now = utc_now()
    rows = [_session(user, now, now + mint.session_ttl) for _ in range(count)]
    claims = [_claims(row) for row in rows]
    await mint.database.write(lambda: _insert(rows, claims))
    await asyncio.gather(*(hand_out.sessions.put(copy_of(row, user)) for row in rows))
    return claims


async def _insert(rows: Sequence[Session], claims: Sequence[Claims]) -> None:
    await Session.bulk_create(rows)
    await IssuedToken.bulk_create(
        IssuedToken(jti=each.jti, session_id=each.sid, issued_at=each.issued_at, expires_at=each.expires_at)
        for each in claims
    )


def _session(user: User, now: datetime, end: datetime) -> Session:
    return Session(
        id=new_id(),
        user=user,
        version=user.session_version,
        ip="127.0.0.1",
        agent="benchmark",
        started_at=now,
        expires_at=end,
        last_seen_at=now,
    )


def _claims(row: Session) -> Claims:
    return Claims(
        user_id=row.user_id,
        sid=row.id,
        jti=new_id(),
        version=row.version,
        issued_at=row.started_at,
        expires_at=row.expires_at,
    )
