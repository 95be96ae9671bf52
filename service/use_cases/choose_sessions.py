"""Choose living sessions by what they have in common, however many they are."""

import heapq
import ipaddress
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from tortoise.queryset import QuerySet

from models import Session
from service.clock import Clock
from service.stores.database import Database
from service.use_cases.list_sessions import PAGE_SIZE, Page, alive, last_page

_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Selection:
    """What is named here must all hold of a session. Nothing named: every session."""

    user_ids: frozenset[int] | None = None
    sids: frozenset[str] | None = None
    network: IPv4Network | IPv6Network | None = None
    agent: re.Pattern[str] | None = None
    issued_before: datetime | None = None
    issued_after: datetime | None = None
    seen_before: datetime | None = None

    @property
    def whole_users(self) -> bool:
        """Whether it takes users, or everybody, with all that they have."""
        return replace(self, user_ids=None) == Selection()

    def rows(self) -> QuerySet[Session]:
        """Ask for all that the database can tell apart."""
        conditions = {
            "user_id__in": self.user_ids,
            "id__in": self.sids,
            "started_at__lt": self.issued_before,
            "started_at__gt": self.issued_after,
            "last_seen_at__lt": self.seen_before,
        }
        return Session.filter(**{name: value for name, value in conditions.items() if value is not None})

    def fits(self, ip: str, agent: str) -> bool:
        """Judge the rest. SQLite knows no networks, and of no letters but ASCII's that case is nothing."""
        return self._in_network(ip) and (self.agent is None or self.agent.search(agent) is not None)

    def _in_network(self, ip: str) -> bool:
        if self.network is None:
            return True
        address = _address(ip)
        return address is not None and address in self.network


class Found(NamedTuple):
    id: str
    user_id: int
    started_at: datetime
    ip: str
    agent: str


@dataclass(frozen=True, slots=True)
class Overview:
    """How many sessions were chosen, of how many users, and the newest of them, the newest first."""

    sessions: int
    users: int
    newest: Sequence[Found]


@dataclass(frozen=True, slots=True)
class ChooseSessions:
    """In bounded memory and by queries that are short, so that a million sessions are no trouble."""

    database: Database
    clock: Clock

    async def batches(
        self, selection: Selection, *, ended_for: timedelta = timedelta()
    ) -> AsyncIterator[Sequence[Found]]:
        """Yield the chosen sessions that are alive, or ended by themselves within so long, by their ids.

        A batch may be empty.
        """
        rows = alive(selection.rows(), self.clock() - ended_for).order_by("id").limit(_AT_ONCE)
        last = ""
        while batch := await self._after(last, rows):
            last = batch[-1].id
            yield [found for found in batch if selection.fits(found.ip, found.agent)]

    async def overview(self, selection: Selection, *, keep: int) -> Overview:
        """Count the chosen sessions, and keep so many of the newest."""
        sessions, users, newest = 0, set[int](), list[Found]()
        async for batch in self.batches(selection):
            sessions += len(batch)
            users.update(found.user_id for found in batch)
            newest = heapq.nlargest(keep, [*newest, *batch], key=lambda found: (found.started_at, found.id))
        return Overview(sessions, len(users), newest)

    async def page(self, selection: Selection, number: int) -> Page:
        """Return a page of the chosen sessions, newest first. A page beyond the last is empty."""
        overview = await self.overview(selection, keep=number * PAGE_SIZE)
        ids = [found.id for found in overview.newest[(number - 1) * PAGE_SIZE :]]
        rows = Session.filter(id__in=ids).order_by("-started_at", "-id").select_related("user")
        total = overview.sessions
        return Page(await self.database.read(lambda: rows) if ids else (), number, last_page(total), total)

    async def _after(self, sid: str, rows: QuerySet[Session]) -> Sequence[Found]:
        named = rows.filter(id__gt=sid).values_list(*Found._fields)
        return [Found(*row) for row in await self.database.read(lambda: named)]


def agent_pattern(text: str) -> re.Pattern[str]:
    """Read part of a User-Agent, or with `*` and `?` the whole of one; case is nothing."""
    if not {"*", "?"} & set(text):
        return re.compile(re.escape(text), re.IGNORECASE)
    glob = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in text)
    return re.compile(rf"\A{glob}\Z", re.IGNORECASE | re.DOTALL)


@lru_cache(4096)
def _address(ip: str) -> IPv4Address | IPv6Address | None:
    try:
        return ipaddress.ip_address(ip)
    except ValueError:
        return None
