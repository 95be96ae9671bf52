"""Let a user in again."""

from dataclasses import dataclass

from models import User
from service.clock import Clock
from service.stores.security_events import SecurityEvents
from service.telemetry.events import Event
from service.use_cases.find_user import FindUser


@dataclass(frozen=True, slots=True)
class EnableUser:
    find_user: FindUser
    events: SecurityEvents
    clock: Clock

    async def __call__(self, user: str, *, by: str) -> bool:
        """Return whether she had been shut out. Her old sessions stay dead."""
        found, now = await self.find_user(user), self.clock()
        shut_out = User.filter(id=found.id, active=False)
        enabled = await self.events.commit(
            lambda: shut_out.update(active=True, updated_at=now),
            lambda changed: Event("user_enabled", now, found.id, by=by, details={"changed": bool(changed)}),
        )
        return bool(enabled)
