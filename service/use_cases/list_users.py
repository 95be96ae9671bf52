"""List the users there are, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from models import User
from models.user import DELETED
from service.stores.database import Database
from service.use_cases.list_sessions import PAGE_SIZE, last_page


@dataclass(frozen=True, slots=True)
class UserPage:
    """One page of users, by name; pages count from 1."""

    users: Sequence[User]
    number: int
    last: int
    total: int


@dataclass(frozen=True, slots=True)
class ListUsers:
    database: Database

    async def __call__(self, number: int, *, active: bool | None = None) -> UserPage:
        """Return a page of those who are not deleted: all of them, the enabled or the disabled ones."""
        there = User.exclude(user_key__startswith=f"{DELETED} ")
        chosen = there if active is None else there.filter(active=active)
        rows = chosen.order_by("user_key").offset((number - 1) * PAGE_SIZE).limit(PAGE_SIZE)

        async def work() -> UserPage:
            total = await chosen.count()
            return UserPage(await rows, number, last_page(total), total)

        return await self.database.read(work)
