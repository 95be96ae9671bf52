"""Hash passwords, and verify them in a time that tells nothing about the account."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass

import bcrypt

# passlib's public format: bcrypt over an HMAC-SHA256 keyed with the salt. There is no 72-byte limit, and a
# leaked plain SHA-256 cannot be tried against it ("shucking").
# https://passlib.readthedocs.io/en/stable/lib/passlib.hash.bcrypt_sha256.html
# A salt has 128 bits: of its 22nd character two count, and bcrypt takes no others to be set.
_OURS = re.compile(
    r"\$bcrypt-sha256\$v=2,t=2b,r=([0-9]{1,2})\$([./A-Za-z0-9]{21}[.Oeu])\$([./A-Za-z0-9]{31})"
)
# What PHP, Laravel and other bcrypts wrote.
_PLAIN = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_BCRYPT_MAX_BYTES = 72
# Above 16 a single guess would occupy the thread for seconds: such a hash is as good as malformed.
_COST_MIN, _COST_MAX = 4, 16


@dataclass(frozen=True, slots=True)
class Passwords:
    """Password storage at one bcrypt cost. Every method computes for long: call it off the event loop."""

    cost: int

    def hash(self, password: str) -> str:
        """Return `$bcrypt-sha256$v=2,t=2b,r=<cost>$<22 chars of salt>$<31 chars of digest>`."""
        salt = bcrypt.gensalt(self.cost)
        digest = bcrypt.hashpw(_prehash(password, salt[7:].decode()), salt)
        return f"$bcrypt-sha256$v=2,t=2b,r={self.cost}${salt[7:].decode()}${digest[29:].decode()}"

    def verify(self, password: str, stored: str | None) -> bool:
        """Compare the password with a stored hash; None stands for an account that does not exist.

        A refusal takes as long as one hash at the current cost, whatever the reason for it, so its time does
        not tell an unknown account from a wrong password or from an imported, cheaper hash. A dearer one it
        does tell: none is imported, and `doctor` names those that a higher BCRYPT_COST has left behind.
        """
        cost = cost_of(stored)
        if stored is None or cost is None:
            # Through the very same lines, which cost microseconds beside the hash as well.
            _matches(password, self._decoy)
            return False
        if _matches(password, stored):
            return True
        self._spend_the_rest(cost)
        return False

    def needs_rehash(self, stored: str) -> bool:
        """Whether a hash that just verified should be replaced by one of ours at the current cost."""
        match = _OURS.fullmatch(stored)
        return match is None or int(match[1]) != self.cost

    @property
    def _decoy(self) -> str:
        return f"$bcrypt-sha256$v=2,t=2b,r={self.cost}${'.' * 22}${'.' * 31}"

    def _spend_the_rest(self, spent: int) -> None:
        """Top up the time already spent at a cheaper cost: 2^n = 2^m + 2^m + 2^(m+1) + … + 2^(n-1)."""
        for cost in range(spent, self.cost):
            bcrypt.hashpw(b"decoy", bcrypt.gensalt(cost))


def beginnings(cost: int) -> list[str]:
    """Return how the stored hashes of a cost begin."""
    return [f"$bcrypt-sha256$v=2,t=2b,r={cost}$", *(f"$2{letter}${cost:02}$" for letter in "aby")]


def cost_of(stored: str | None) -> int | None:
    """Return the cost of a well-formed stored hash; None where bcrypt would not even start."""
    match = stored is not None and (_OURS.fullmatch(stored) or _PLAIN.fullmatch(stored))
    if not match or not _COST_MIN <= int(match[1]) <= _COST_MAX:
        return None
    return int(match[1])


def _matches(password: str, stored: str) -> bool:
    if ours := _OURS.fullmatch(stored):
        cost, salt, digest = ours.groups()
        found = bcrypt.hashpw(_prehash(password, salt), f"$2b${int(cost):02}${salt}".encode())
        return hmac.compare_digest(found[29:], digest.encode())
    # For its time alone: microseconds less would tell that a hash is an imported one, and so exists.
    _prehash(password, stored[7:29])
    # PHP cuts at 72 bytes, and takes no NUL; bcrypt 5 raises above 72 and would stop at the NUL.
    secret = password.encode()
    matches = bcrypt.checkpw(secret[:_BCRYPT_MAX_BYTES].replace(b"\0", b"\xff"), stored.encode())
    return matches and b"\0" not in secret


def _prehash(password: str, salt: str) -> bytes:
    return base64.b64encode(hmac.digest(salt.encode(), password.encode(), hashlib.sha256))
