"""List the accounts that are blocked for unknown networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from models import User
from service.clock import Clock
from service.security.accounts import AccountHash
from service.stores.login_history import LoginHistory


@dataclass(frozen=True, slots=True)
class Block:
    """A block in force; the user is None where the name that was tried does not exist."""

    account: str
    user: str | None
    failures: int
    until: datetime


@dataclass(frozen=True, slots=True)
class ListBlocks:
    history: LoginHistory
    account_hash: AccountHash
    clock: Clock

    async def __call__(self) -> Sequence[Block]:
        rows = await self.history.blocks(self.clock())
        names = await self.names() if rows else {}
        return [
            Block(row.account, names.get(row.account), row.consecutive, row.blocked_until)
            for row in rows
            if row.blocked_until is not None
        ]

    async def names(self) -> dict[str, str]:
        """Find out whose the accounts are: only a hash of the name is stored with a block."""
        users = await self.history.database.read(lambda: User.all().values_list("user_key", "user"))
        return {name: user for key, user in users for name in self.account_hash(key).all}
