"""Remember in the database what logins leave behind: failures in a row, blocks, known networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tortoise.expressions import F

from models import KnownNetwork, LoginFailures, User
from service.security.accounts import Account
from service.stores.database import Database, read_time

# NIST SP 800-63B section 3.2.2: no more than 100 failures in a row.
FAILURES_BEFORE_BLOCK = 100
FIRST_BLOCK = timedelta(hours=1)
LONGEST_BLOCK = timedelta(hours=24)
# As many failures in a row from a known network, and it is not her who sits there.
FAILURES_BEFORE_UNKNOWN = 50
# A login from a known network need not say so again each time.
_REMEMBER_AGAIN_AFTER = timedelta(days=1)
# Thirty days from the last login, of which the row may be a day behind.
NETWORK_KNOWN_FOR = timedelta(days=30) + _REMEMBER_AGAIN_AFTER

_NOBODY = 0

# Everything a login has to know, whether the name exists or not, in one query.
_STANDING = """
    SELECT u.id, u.name, u."user", u.password_hash, u.active, u.session_version,
           f.consecutive, f.blocked_until, k.last_login_at, k.consecutive_failures
    FROM (SELECT 1 AS one) AS always
    LEFT JOIN users u ON u.user_key = ?
    LEFT JOIN (
        SELECT SUM(consecutive) AS consecutive, MAX(blocked_until) AS blocked_until
        FROM login_failures WHERE account IN ({accounts})
    ) f ON TRUE
    LEFT JOIN known_networks k ON k.user_id = u.id AND k.network = ?
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands when a login arrives from a network. The user is None for an unknown name."""

    user: User | None
    failures: int  # in a row, from all networks
    blocked_until: datetime | None
    known_since: datetime | None  # the last login from this network; None: not a known one
    failures_from_network: int  # in a row, from this known network

    @property
    def known(self) -> bool:
        return self.known_since is not None

    def blocked_for(self, now: datetime) -> timedelta | None:
        """Return how long logins from here are blocked still. A known network is never blocked."""
        if self.known or self.blocked_until is None or self.blocked_until <= now:
            return None
        return self.blocked_until - now

    def has_room_for(self, attempts: int) -> bool:
        """Whether so many attempts at once may all fail. Once there was a block, one at a time."""
        return self.known or attempts <= max(1, FAILURES_BEFORE_BLOCK - self.failures)

    def should_remember(self, now: datetime) -> bool:
        """Whether a login that succeeds has something to say about its network."""
        stale = self.known_since is None or now - self.known_since > _REMEMBER_AGAIN_AFTER
        return stale or self.failures_from_network > 0


@dataclass(frozen=True, slots=True)
class LoginHistory:
    """Raises DatabaseUnavailable; no loss of Redis frees or forgets anybody here."""

    database: Database

    async def standing(self, user_key: str, account: Account, network: str, now: datetime) -> Standing:
        sql = _STANDING.format(accounts=", ".join("?" for _ in account.all))
        row = await self.database.row(sql, user_key, *account.all, network)
        last_login = read_time(row["last_login_at"])
        known = last_login is not None and now - last_login <= NETWORK_KNOWN_FOR
        return Standing(
            user=_user(row, user_key),
            failures=row["consecutive"] or 0,
            blocked_until=read_time(row["blocked_until"]),
            known_since=last_login if known else None,
            failures_from_network=(row["consecutive_failures"] or 0) if known else 0,
        )

    async def failed(self, account: Account, user_id: int | None, network: str, now: datetime) -> bool:
        """Count one failure more in a row; return whether it started a block."""

        async def work() -> bool:
            row = await _one_more(account.hash, now)
            earlier = await LoginFailures.filter(account__in=account.earlier) if account.earlier else []
            in_a_row = sum(each.consecutive for each in (row, *earlier))
            blocked = any(each.blocked_until and each.blocked_until > now for each in (row, *earlier))
            # For a name that does not exist as well: it takes time, and the next answer might show it.
            await _blame_network(user_id or _NOBODY, network)
            if in_a_row < FAILURES_BEFORE_BLOCK or blocked:
                return False
            blocks = max(each.blocks for each in (row, *earlier))
            row.blocked_until = now + min(FIRST_BLOCK * 2 ** min(blocks, 8), LONGEST_BLOCK)
            row.blocks = blocks + 1
            await row.save(update_fields=["blocked_until", "blocks"])
            return True

        return await self.database.write(work)

    async def succeeded(self, account: Account) -> None:
        """Forget the failures in a row. A block goes on: it is not this login that it is there for."""
        await self.database.write(
            lambda: LoginFailures.filter(account__in=account.all).update(consecutive=0, blocks=0)
        )

    async def unblock(self, account: Account, now: datetime) -> bool:
        """Forget failures and block alike, within the caller's transaction; return if there was a block."""
        blocked = await LoginFailures.filter(account__in=account.all, blocked_until__gt=now).delete()
        await LoginFailures.filter(account__in=account.all).delete()
        return bool(blocked)

    async def blocks(self, now: datetime) -> Sequence[LoginFailures]:
        """List the blocks in force, the longest first."""
        blocked = LoginFailures.filter(blocked_until__gt=now).order_by("-blocked_until")
        return await self.database.read(lambda: blocked)

    async def known_networks(self, user_id: int, now: datetime) -> Sequence[KnownNetwork]:
        """List the networks a user is known from, the latest login first."""
        known = KnownNetwork.filter(user_id=user_id, last_login_at__gte=now - NETWORK_KNOWN_FOR)
        return await self.database.read(lambda: known.order_by("-last_login_at"))


async def remember_network(user_id: int, network: str, now: datetime) -> None:
    """Make the network a known one of the user, within the caller's transaction."""
    known = KnownNetwork(user_id=user_id, network=network, last_login_at=now, consecutive_failures=0)
    await KnownNetwork.bulk_create(
        [known],
        on_conflict=("user_id", "network"),
        update_fields=("last_login_at", "consecutive_failures"),
    )


async def forget_networks(user_id: int) -> None:
    """Make every network an unknown one to the user, within the caller's transaction."""
    await KnownNetwork.filter(user_id=user_id).delete()


async def _one_more(account: str, now: datetime) -> LoginFailures:
    this = LoginFailures.filter(account=account)
    if not await this.update(consecutive=F("consecutive") + 1, updated_at=now):
        await LoginFailures.bulk_create([LoginFailures(account=account)], ignore_conflicts=True)
        await this.update(consecutive=F("consecutive") + 1, updated_at=now)
    return await this.get()


async def _blame_network(user_id: int, network: str) -> None:
    this = KnownNetwork.filter(user_id=user_id, network=network)
    if await this.update(consecutive_failures=F("consecutive_failures") + 1):
        await this.filter(consecutive_failures__gte=FAILURES_BEFORE_UNKNOWN).delete()


def _user(row: dict[str, Any], user_key: str) -> User | None:
    # Built for an unknown name as well: that takes time, which must not tell who exists.
    # User() would look at every value. They are the database's own, and the user is never saved.
    user = User.construct(
        id=row["id"] or _NOBODY,
        name=row["name"] or "",
        user=row["user"] or "",
        user_key=user_key,
        password_hash=row["password_hash"] or "",
        active=bool(row["active"]),
        session_version=row["session_version"] or 0,
    )
    return user if row["id"] is not None else None
