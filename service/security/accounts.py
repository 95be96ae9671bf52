"""Name an account without writing its name."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Account(NamedTuple):
    """What an account is counted under, and what it was under earlier keys that still verify tokens."""

    hash: str
    earlier: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        return (self.hash, *self.earlier)


@dataclass(frozen=True, slots=True)
class AccountHash:
    """The `<acct>` of limits and blocks: a keyed hash of the folded name, 32 hexadecimal digits.

    It stands for names that do not exist as well, hides what was typed (a password, at times) from whoever
    reads Redis, and holds no character that a key could be broken with. The first key counts; under the
    others blocks are looked for, so that a new signing key frees nobody.
    """

    keys: Sequence[bytes] = field(repr=False)

    def __call__(self, user_key: str) -> Account:
        first, *earlier = (_digest(key, user_key) for key in self.keys)
        return Account(first, tuple(earlier))


def _digest(key: bytes, user_key: str) -> str:
    return hmac.digest(key, user_key.encode(), hashlib.sha256).hex()[:32]
