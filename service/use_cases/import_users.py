"""Take users in from elsewhere, with the hashes of their passwords: all of them, or none."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from tortoise.exceptions import IntegrityError

from models import User
from service.clock import Clock
from service.errors import CannotBeDone
from service.security.passwords import cost_of
from service.stores.database import Database
from service.stores.security_events import SecurityEvents
from service.telemetry.events import Event
from service.use_cases.names import Names

T = TypeVar("T")

# SQLite takes 999 parameters in its older versions.
_AT_ONCE = 500
# One transaction for a whole file.
_PATIENCE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Candidate:
    line: int
    user: str
    name: str
    password_hash: str = field(repr=False)
    active: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Import:
    """What became of a file: how many users it was good for, which were written, and what was rejected."""

    good: int
    imported: int
    rejected: Sequence[Rejected]


@dataclass(frozen=True, slots=True)
class ImportUsers:
    database: Database
    events: SecurityEvents
    bcrypt_cost: int
    clock: Clock

    async def __call__(
        self, lines: Iterable[Candidate | Rejected], *, by: str, dry_run: bool, skip_rejected: bool
    ) -> Import:
        """Write nothing if a line is rejected, or with `skip_rejected` the others; in one transaction."""
        rejected: list[Rejected] = []
        rows = {row.user_key: (line, row) for line, row in self._checked(lines, rejected)}
        for key in await self._taken(list(rows)):
            line, row = rows.pop(key)
            rejected.append(Rejected(line, f"There is a user {row.user} already."))
        rejected.sort(key=lambda each: each.line)
        if dry_run or not rows or (rejected and not skip_rejected):
            return Import(len(rows), 0, rejected)
        await self._write([row for _, row in rows.values()], by)
        return Import(len(rows), len(rows), rejected)

    def _checked(
        self, lines: Iterable[Candidate | Rejected], rejected: list[Rejected]
    ) -> Iterator[tuple[int, User]]:
        """Yield the rows of the good lines, and the numbers of those; put the others aside."""
        first_seen: dict[str, int] = {}
        for line in lines:
            found = line if isinstance(line, Rejected) else self._row(line, first_seen)
            if isinstance(found, Rejected):
                rejected.append(found)
            else:
                first_seen[found.user_key] = line.line
                yield line.line, found

    def _row(self, line: Candidate, first_seen: dict[str, int]) -> User | Rejected:
        try:
            names = Names.of(line.user, line.name or line.user)
        except CannotBeDone as error:
            return Rejected(line.line, str(error))
        if names.user_key in first_seen:
            return Rejected(line.line, f"{names.user} is in line {first_seen[names.user_key]} already.")
        cost = cost_of(line.password_hash)
        if cost is None:
            return Rejected(line.line, "The password_hash is not a bcrypt hash of a cost from 4 to 16.")
        if cost > self.bcrypt_cost:
            # A wrong password would take longer than one for a name that does not exist.
            return Rejected(line.line, f"The password_hash has cost {cost}: set BCRYPT_COST to {cost} first.")
        return User(**names.columns, password_hash=line.password_hash, active=line.active)

    async def _taken(self, keys: Sequence[str]) -> Sequence[str]:
        return [key for some in _some(keys) for key in await self._there(some)]

    async def _there(self, keys: Sequence[str]) -> Sequence[str]:
        there = User.filter(user_key__in=keys).values_list("user_key")
        return [key for (key,) in await self.database.read(lambda: there)]

    async def _write(self, rows: Sequence[User], by: str) -> None:
        async def work() -> None:
            for some in _some(rows):
                await User.bulk_create(some)

        event = Event("users_imported", self.clock(), by=by, details={"users": len(rows)})
        try:
            await self.events.commit_all(work, lambda _: [event], within=_PATIENCE)
        except IntegrityError as error:
            raise CannotBeDone(
                "Nothing was imported: somebody has just created one of these users. Run it again."
            ) from error


def _some(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[first : first + _AT_ONCE] for first in range(0, len(items), _AT_ONCE))
