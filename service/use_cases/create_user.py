"""Create a user."""

from dataclasses import dataclass

from tortoise.exceptions import IntegrityError

from models import User
from service.clock import Clock
from service.errors import CannotBeDone
from service.security.password_policy import PasswordPolicy
from service.security.passwords import Passwords
from service.stores.database import Database
from service.stores.security_events import SecurityEvents
from service.telemetry.events import Event
from service.use_cases.names import Names


@dataclass(frozen=True, slots=True)
class CreateUser:
    database: Database
    passwords: Passwords
    policy: PasswordPolicy
    events: SecurityEvents
    clock: Clock

    async def __call__(self, user: str, name: str, password: str, *, by: str) -> User:
        """Return the new user; raise CannotBeDone for a weak password, or a name that is none or is taken."""
        if complaints := self.policy.complaints(password):
            raise CannotBeDone(complaints[0])
        return await self.with_any_password(user, name, password, by=by)

    async def with_any_password(self, user: str, name: str, password: str, *, by: str) -> User:
        """Likewise, whatever the policy says: for the demo user alone."""
        names = Names.of(user, name)
        row = User(**names.columns, password_hash=self.passwords.hash(password))
        try:
            await self.events.commit(row.save, lambda _: Event("user_created", self.clock(), row.id, by=by))
        except IntegrityError as error:
            raise CannotBeDone(f"There is a user {names.user} already.") from error
        return row
