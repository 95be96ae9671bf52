"""Take the names of a user, or say what is wrong with them."""

from typing import NamedTuple, Self

from models import fold_user
from models.user import NAME_MAX_LENGTH, USER_MAX_LENGTH
from service.errors import CannotBeDone

# Bytes of a command line that are not UTF-8 arrive as halves of surrogate pairs.
_NO_TEXT = "cannot hold NUL, half of a surrogate pair, or bytes that are not UTF-8"


class Names(NamedTuple):
    """What she signs in as, the folded form of that, and what she is called."""

    user: str
    user_key: str
    name: str

    @classmethod
    def of(cls, user: str, name: str) -> Self:
        """Raise CannotBeDone for what no column could hold."""
        names = cls(user.strip(), fold_user(user), name.strip())
        if not _is_text(user):
            raise CannotBeDone(f"A user name {_NO_TEXT}.")
        if not names.user_key or len(names.user) > USER_MAX_LENGTH:
            raise CannotBeDone(f"A user name has 1 to {USER_MAX_LENGTH} characters.")
        if not _is_text(name):
            raise CannotBeDone(f"A name {_NO_TEXT}.")
        if not names.name or len(names.name) > NAME_MAX_LENGTH:
            raise CannotBeDone(f"A name has 1 to {NAME_MAX_LENGTH} characters.")
        return names

    @property
    def columns(self) -> dict[str, str]:
        return self._asdict()


def _is_text(text: str) -> bool:
    """PostgreSQL refuses NUL, and no database takes half of a surrogate pair."""
    return "\0" not in text and text == text.encode(errors="ignore").decode()
