"""Create users, give them passwords, let them in and shut them out."""

from dataclasses import dataclass

from tortoise.exceptions import IntegrityError

from models import User, fold_user
from models.user import USER_KEY_MAX_LENGTH, USER_MAX_LENGTH
from service.clock import Clock
from service.security.demo import DEMO_NAME, DEMO_PASSWORD, DEMO_USER
from service.security.password_policy import PasswordPolicy
from service.security.passwords import Passwords
from service.stores.database import Database
from service.stores.revocations import Revocations
from service.telemetry import events


class UserError(Exception):
    """What was asked for cannot be done; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class ManageUsers:
    """An operator's powers over users. What shuts somebody out ends her sessions in the same transaction."""

    database: Database
    revocations: Revocations
    passwords: Passwords
    policy: PasswordPolicy
    clock: Clock

    async def create(self, user: str, name: str, password: str, *, by: str) -> User:
        self._check_password(password)
        return await self._create(user, name, password, by)

    async def create_demo(self) -> bool:
        """Create the demo user, whose password no policy would pass; return whether she was missing."""
        if await self.database.read(lambda: User.exists(user_key=fold_user(DEMO_USER))):
            return False
        await self._create(DEMO_USER, DEMO_NAME, DEMO_PASSWORD, "demo")
        return True

    async def set_password(self, user: str, password: str, *, by: str) -> int:
        """Set a password; return how many sessions ended by it."""
        self._check_password(password)
        found = await self.find(user)
        ended = await self.revocations.end_all_of(
            found.id, by=by, why="password_set", now=self.clock(), password_hash=self.passwords.hash(password)
        )
        events.record("password_set", user_id=found.id, by=by)
        return ended

    async def disable(self, user: str, *, by: str) -> int:
        """Shut a user out; return how many sessions ended by it."""
        found = await self.find(user)
        ended = await self.revocations.end_all_of(
            found.id, by=by, why="disabled", now=self.clock(), active=False
        )
        events.record("user_disabled", user_id=found.id, by=by)
        return ended

    async def enable(self, user: str, *, by: str) -> bool:
        """Let a user in again; return whether she had been shut out. Her old sessions stay dead."""
        found = await self.find(user)
        shut_out = User.filter(id=found.id, active=False)
        enabled = await self.database.write(lambda: shut_out.update(active=True, updated_at=self.clock()))
        events.record("user_enabled", user_id=found.id, by=by)
        return bool(enabled)

    async def _create(self, user: str, name: str, password: str, by: str) -> User:
        trimmed, key = user.strip(), fold_user(user)
        if not key or len(trimmed) > USER_MAX_LENGTH or len(key) > USER_KEY_MAX_LENGTH or "\0" in key:
            raise UserError(f"A user name has 1 to {USER_MAX_LENGTH} characters.")
        row = User(name=name, user=trimmed, user_key=key, password_hash=self.passwords.hash(password))
        try:
            await self.database.write(row.save)
        except IntegrityError as error:
            raise UserError(f"There is a user {trimmed} already.") from error
        events.record("user_created", user_id=row.id, by=by)
        return row

    async def find(self, user: str) -> User:
        found = await self.database.read(lambda: User.get_or_none(user_key=fold_user(user)))
        if found is None:
            raise UserError(f"There is no user {user}.")
        return found

    def _check_password(self, password: str) -> None:
        if complaints := self.policy.complaints(password):
            raise UserError(complaints[0])
