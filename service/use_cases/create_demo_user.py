"""Create the demo user, whose password no policy would pass."""

from dataclasses import dataclass

from models import User, fold_user
from service.security.demo import DEMO_NAME, DEMO_PASSWORD, DEMO_USER
from service.use_cases.create_user import CreateUser


@dataclass(frozen=True, slots=True)
class CreateDemoUser:
    create_user: CreateUser

    async def __call__(self) -> bool:
        """Return whether she was missing."""
        there = await self.create_user.database.read(lambda: User.exists(user_key=fold_user(DEMO_USER)))
        if there:
            return False
        await self.create_user.with_any_password(DEMO_USER, DEMO_NAME, DEMO_PASSWORD, by="demo")
        return True
