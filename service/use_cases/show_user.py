"""Say how a user stands: her sessions, her last login, the networks she is known from, her block."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from models import KnownNetwork, Session, User
from service.clock import Clock
from service.security.accounts import AccountHash
from service.stores.login_history import LoginHistory
from service.use_cases.find_user import FindUser
from service.use_cases.list_sessions import alive


@dataclass(frozen=True, slots=True)
class Shown:
    user: User
    sessions: int  # alive
    last_login_at: datetime | None  # as far as it is remembered: see `prune`
    known_networks: Sequence[KnownNetwork]
    failures: int  # in a row
    blocked_until: datetime | None  # None: no block in force


@dataclass(frozen=True, slots=True)
class ShowUser:
    find_user: FindUser
    account_hash: AccountHash
    history: LoginHistory
    clock: Clock

    async def __call__(self, user: str) -> Shown:
        """Raise CannotBeDone if there is no such user."""
        found, now = await self.find_user(user), self.clock()
        own = Session.filter(user_id=found.id)
        sessions = await self.find_user.database.read(lambda: alive(own, now).count())
        newest = await self.find_user.database.read(lambda: own.order_by("-started_at").first())
        networks = await self.history.known_networks(found.id, now)
        standing = await self.history.standing(found.user_key, self.account_hash(found.user_key), "", now)
        logins = [row.last_login_at for row in networks] + ([newest.started_at] if newest else [])
        blocked = standing.blocked_for(now) is not None
        return Shown(
            user=found,
            sessions=sessions,
            last_login_at=max(logins, default=None),
            known_networks=networks,
            failures=standing.failures,
            blocked_until=standing.blocked_until if blocked else None,
        )
