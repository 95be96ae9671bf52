"""Find a user by a spelling of her name."""

from dataclasses import dataclass

from models import User, fold_user
from service.errors import CannotBeDone
from service.stores.database import Database


@dataclass(frozen=True, slots=True)
class FindUser:
    database: Database

    async def __call__(self, user: str) -> User:
        """Return the user, or raise CannotBeDone."""
        found = await self.database.read(lambda: User.get_or_none(user_key=fold_user(user)))
        if found is None:
            raise CannotBeDone(f"There is no user {user}.")
        return found
