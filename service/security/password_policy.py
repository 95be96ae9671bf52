"""Say what is wrong with a new password."""

from dataclasses import dataclass
from functools import cache

from zxcvbn.frequency_lists import FREQUENCY_LISTS

PASSWORD_MAX_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """Length and commonness, and nothing else (NIST SP 800-63B section 3.1.1.2): no rules of composition."""

    min_length: int

    def complaints(self, password: str) -> list[str]:
        """Return a sentence per fault; an empty list for a password that may be set."""
        if len(password) < self.min_length:
            return [f"The password field must be at least {self.min_length} characters."]
        if len(password) > PASSWORD_MAX_LENGTH:
            return [f"The password field must not be greater than {PASSWORD_MAX_LENGTH} characters."]
        if _is_common(password):
            return ["The given password is too common. Please choose a different password."]
        return []


def _is_common(password: str) -> bool:
    """Whether the password is on the list, or one entry of it (or one character) over and over."""
    folded = password.casefold()
    return any(
        folded[:size] in _common_passwords() or size == 1
        for size in range(1, len(folded) + 1)
        if len(folded) % size == 0 and folded == folded[:size] * (len(folded) // size)
    )


@cache
def _common_passwords() -> frozenset[str]:
    return frozenset(FREQUENCY_LISTS["passwords"])
