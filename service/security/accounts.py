"""Name an account without writing its name."""

import hashlib
import hmac
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AccountHash:
    """The `<acct>` of limits and blocks: a keyed hash of the folded name, 32 hexadecimal digits.

    It stands for names that do not exist as well, hides what was typed (a password, at times) from whoever
    reads Redis, and holds no character that a key could be broken with.
    """

    key: bytes = field(repr=False)

    def __call__(self, user_key: str) -> str:
        return hmac.digest(self.key, user_key.encode(), hashlib.sha256).hex()[:32]
