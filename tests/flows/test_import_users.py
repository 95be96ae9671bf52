"""A file of users is imported as a whole or not at all, whoever creates users meanwhile."""

import asyncio
from collections.abc import Sequence

from models import User
from service.errors import CannotBeDone
from service.use_cases.import_users import Candidate, Import
from tests.conftest import Running
from tests.timing import TooLate

HASH = "$2y$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"


def lines(*users: str, stored: str = HASH) -> Sequence[Candidate]:
    return [Candidate(number, user, "", stored, active=True) for number, user in enumerate(users, 1)]


async def imported(service: Running, *users: str, stored: str = HASH) -> Import:
    return await service.use_cases.import_users(
        lines(*users, stored=stored), by="test", dry_run=False, skip_rejected=False
    )


async def test_of_two_imports_at_once_that_share_a_user_one_is_undone_as_a_whole(service: Running) -> None:
    # The one they share comes last, when some hundreds of the others have been written.
    one, other = ([f"{name}-{number}" for number in range(700)] for name in ("one", "other"))

    done = await asyncio.gather(
        imported(service, *one, "shared"), imported(service, *other, "shared"), return_exceptions=True
    )

    for each in done:
        if isinstance(each, Import) and each.rejected:
            assert [line.reason for line in each.rejected] == ["There is a user shared already."]
            raise TooLate("the one began when the other had ended")
    (loser,) = (each for each in done if isinstance(each, CannotBeDone))
    assert str(loser).startswith("Nothing was imported: ")
    assert await User.all().count() == 1 + 701
    assert await User.filter(user_key="shared").count() == 1


async def test_a_second_import_of_a_file_changes_nothing(service: Running) -> None:
    await imported(service, "a", "b")
    before = await User.all().order_by("id").values()

    again = await imported(service, "A", "b")

    assert (again.imported, [each.line for each in again.rejected]) == (0, [1, 2])
    assert await User.all().order_by("id").values() == before


async def test_a_hash_that_would_take_longer_than_a_decoy_is_not_imported(service: Running) -> None:
    dearer = HASH.replace("$04$", "$05$")

    refused, taken = await imported(service, "a", stored=dearer), await imported(service, "a")

    assert [line.reason for line in refused.rejected] == [
        "The password_hash has cost 5: set BCRYPT_COST to 5 first."
    ]
    assert (refused.imported, taken.imported) == (0, 1)
