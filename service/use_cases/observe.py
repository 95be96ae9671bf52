"""See at a glance who is signed in, who is blocked, and who is under attack."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from tortoise.functions import Sum

from models import LoginFailures, SecurityEvent, Session
from service.clock import Clock
from service.errors import DatabaseUnavailable
from service.security.networks import Client
from service.stores.database import Database
from service.stores.pipeline import Commands, answers
from service.use_cases.list_blocks import Block, ListBlocks
from service.use_cases.list_sessions import alive

ATTACKS_WITHIN = timedelta(minutes=5)
_ATTEMPTS = ("login_refused", "login_blocked")
_KEPT = 5
# A /48 of IPv6 is made up of the networks in it, so more of them are read than are told of.
_READ = 1000


@dataclass(frozen=True, slots=True)
class Attacked:
    account: str
    user: str | None  # None: there is no such user
    attempts: int  # lately, that were refused
    failures: int  # in a row, however long ago


@dataclass(frozen=True, slots=True)
class InDatabase:
    sessions: int  # alive
    blocks: Sequence[Block]
    accounts: Sequence[Attacked]  # those on which most is tried
    networks: Sequence[tuple[str, int]]  # those from which most is tried


@dataclass(frozen=True, slots=True)
class Seen:
    database: InDatabase | None  # None: it does not answer
    redis_answers: bool


@dataclass(frozen=True, slots=True)
class Observe:
    """Attempts are read from the security events: what any process refused, be it gone by now."""

    database: Database
    redis: Commands
    list_blocks: ListBlocks
    clock: Clock

    async def __call__(self) -> Seen:
        """Look, and change nothing."""
        return Seen(await self._database(), await answers(self.redis))

    async def _database(self) -> InDatabase | None:
        try:
            return InDatabase(
                await self.database.read(lambda: alive(Session.all(), self.clock()).count()),
                await self.list_blocks(),
                await self._accounts(),
                _with_wide_ones(await self._attempts("network", _READ)).most_common(_KEPT),
            )
        except DatabaseUnavailable:
            return None

    async def _accounts(self) -> Sequence[Attacked]:
        """Rank by what is tried now; what failed in a row may be long ago, and decides between equals."""
        attempts = await self._attempts("account", _KEPT)
        failures = await self._failures(attempts)
        rank = {one: (attempts[one], failures.get(one, 0)) for one in {**attempts, **failures}}
        first = sorted(rank, key=lambda account: rank[account], reverse=True)[:_KEPT]
        names = await self.list_blocks.names() if first else {}
        return [Attacked(account, names.get(account), *rank[account]) for account in first]

    async def _attempts(self, whose: Literal["account", "network"], most: int) -> Counter[str]:
        lately = SecurityEvent.filter(name__in=_ATTEMPTS, at__gte=self.clock() - ATTACKS_WITHIN)
        each = lately.filter(**{f"{whose}__isnull": False}).annotate(attempts=Sum("count")).group_by(whose)
        ranked = each.order_by("-attempts").limit(most).values_list(whose, "attempts")
        return Counter(dict(await self.database.read(lambda: ranked)))

    async def _failures(self, tried: Collection[str]) -> Mapping[str, int]:
        """Read those of the accounts that were named, and of those that have most."""
        named = LoginFailures.filter(account__in=tried)
        most = LoginFailures.filter(consecutive__gt=0).order_by("-consecutive").limit(_KEPT)
        rows = [*await self.database.read(lambda: named), *await self.database.read(lambda: most)]
        return {row.account: row.consecutive for row in rows}


def _with_wide_ones(attempts: Counter[str]) -> Counter[str]:
    """List the /48 around networks of IPv6 as well: whoever has one comes from ever other networks in it."""
    wide = Counter[str]()
    for network, count in attempts.items():
        around = Client.at(network.partition("/")[0]).wide_network
        if around is not None:
            wide[around] += count
    return attempts + wide
