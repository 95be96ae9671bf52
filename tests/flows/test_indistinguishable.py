"""Whatever a login is refused for, its answer is that of a wrong password, byte by byte.

Its time is compared by `make bench-guard`.
"""

import re
from dataclasses import dataclass

import bcrypt
import httpx
import pytest

from models import User, fold_user
from service.security.passwords import Passwords
from tests.backoffice import PASSWORD
from tests.conftest import Running

OURS = Passwords(4).hash(PASSWORD)
WRONG = "correct horse battery stable"
# One more than the limit allows.
ATTEMPTS = 6


@dataclass(frozen=True)
class Reason:
    stored: str | None = OURS  # None: there is no such user
    active: bool = True
    password: str = WRONG


def imported(cost: int, prefix: bytes = b"$2y$") -> str:
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(cost)).replace(b"$2b$", prefix).decode()


REASONS = {
    "unknown": Reason(stored=None),
    "unknown, with a password that somebody has": Reason(stored=None, password=PASSWORD),
    "disabled": Reason(active=False),
    "disabled, with the right password": Reason(active=False, password=PASSWORD),
    "malformed hash": Reason(stored="not a hash", password=PASSWORD),
    "empty hash": Reason(stored="", password=PASSWORD),
    "hash of an absurd cost": Reason(stored=imported(4).replace("$04$", "$31$")),
    "imported": Reason(stored=imported(4)),
    "imported at another cost": Reason(stored=imported(6, b"$2a$")),
    "over-long": Reason(password="x" * 1024),
    "longer than bcrypt reads": Reason(stored=imported(4), password=PASSWORD + "x" * 100),
    "NUL": Reason(password=PASSWORD[:7] + "\0" + PASSWORD[7:]),
    "NUL behind the right password": Reason(stored=imported(4), password=PASSWORD + "\0"),
    "empty but for blanks": Reason(password="   "),
}


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS.keys())
async def test_it_looks_like_a_wrong_password(service: Running, reason: Reason) -> None:
    await add("somebody", reason)

    wrong = [await service.client.log_in("causas", WRONG) for _ in range(ATTEMPTS)]
    other = [await service.client.log_in("somebody", reason.password) for _ in range(ATTEMPTS)]

    assert [answer.status_code for answer in wrong] == [401] * 5 + [429]
    assert [shown(answer) for answer in other] == [shown(answer) for answer in wrong]


async def add(name: str, reason: Reason) -> None:
    if reason.stored is not None:
        key = fold_user(name)
        await User.create(
            user=name, name=name, user_key=key, password_hash=reason.stored, active=reason.active
        )


def shown(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], str]:
    """Give all that a client gets to see, but for the request's own id and how much time has passed."""
    headers = [(name, value) for name, value in answer.headers.multi_items() if name != "x-request-id"]
    timed = {"ratelimit": r"t=\d+", "x-ratelimit-reset": r"\d+", "retry-after": r"\d+"}
    headers = [(name, re.sub(timed.get(name, "$^"), "N", value)) for name, value in headers]
    return answer.status_code, headers, re.sub(r"in \d+ seconds", "in N seconds", answer.text)
