"""Delete a user: nobody signs in as her again, and her names are gone."""

from dataclasses import dataclass

from models.user import key_of_deleted
from service.clock import Clock
from service.stores.revocations import Revocations
from service.telemetry.events import Event
from service.use_cases.find_user import FindUser

# No password matches what is no hash; refusing it takes as long as any other.
_NO_HASH = "!"


@dataclass(frozen=True, slots=True)
class DeleteUser:
    """The row stays, since sessions and security events name its id. Her user name is free again."""

    find_user: FindUser
    revocations: Revocations
    clock: Clock

    async def __call__(self, user: str, *, by: str) -> int:
        """End her sessions and forget her networks in the same transaction; return how many ended."""
        found, now = await self.find_user(user), self.clock()
        return await self.revocations.end_all_of(
            found.id,
            by=by,
            why="deleted",
            now=now,
            event=Event("user_deleted", now, found.id, by=by),
            active=False,
            name="Deleted",
            user=f"deleted-{found.id}",
            user_key=key_of_deleted(found.id),
            password_hash=_NO_HASH,
        )
