"""Shut a user out."""

from dataclasses import dataclass

from service.clock import Clock
from service.stores.revocations import Revocations
from service.telemetry.events import Event
from service.use_cases.find_user import FindUser


@dataclass(frozen=True, slots=True)
class DisableUser:
    find_user: FindUser
    revocations: Revocations
    clock: Clock

    async def __call__(self, user: str, *, by: str) -> int:
        """End her sessions in the same transaction; return how many they were."""
        found, now = await self.find_user(user), self.clock()
        event = Event("user_disabled", now, found.id, by=by)
        return await self.revocations.end_all_of(
            found.id, by=by, why="disabled", now=now, event=event, active=False
        )
