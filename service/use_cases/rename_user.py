"""Give a user another name, to sign in with or to be called by."""

from dataclasses import dataclass

from tortoise.exceptions import IntegrityError

from service.clock import Clock
from service.errors import CannotBeDone
from service.stores.revocations import Revocations
from service.telemetry.events import Event
from service.use_cases.find_user import FindUser
from service.use_cases.names import Names


@dataclass(frozen=True, slots=True)
class Renamed:
    names: Names
    changed: bool
    sessions_ended: int


@dataclass(frozen=True, slots=True)
class RenameUser:
    """Her sessions end: their copies tell other services the old name. Her networks stay known.

    Failures and blocks belong to a name, whether it exists or not. The old ones stay with the old name.
    """

    find_user: FindUser
    revocations: Revocations
    clock: Clock

    async def __call__(self, user: str, new: str | None, name: str | None, *, by: str) -> Renamed:
        """Change what is given; raise CannotBeDone for a name that is none or is taken."""
        found = await self.find_user(user)
        names = Names.of(new or found.user, name or found.name)
        if names == (found.user, found.user_key, found.name):
            return Renamed(names, changed=False, sessions_ended=0)
        now = self.clock()
        event = Event("user_renamed", now, found.id, by=by)
        try:
            ended = await self.revocations.end_all_of(
                found.id, by=by, why="renamed", now=now, event=event, forget=False, **names.columns
            )
        except IntegrityError as error:
            raise CannotBeDone(f"There is a user {names.user} already.") from error
        return Renamed(names, changed=True, sessions_ended=ended)
