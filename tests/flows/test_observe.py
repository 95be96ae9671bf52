"""What an operator sees of an attack is what was refused lately, by whatever process."""

from datetime import timedelta

from models import SecurityEvent
from service.use_cases.observe import ATTACKS_WITHIN, InDatabase
from tests.backoffice import Backoffice
from tests.conftest import FakeClock, Running, Start


async def seen_in(service: Running) -> InDatabase:
    await service.use_cases.events.write()
    seen = (await service.use_cases.observe()).database
    assert seen is not None
    return seen


async def refused(clock: FakeClock, network: str, count: int, account: str = "a", ago: int = 0) -> None:
    """Leave what another process has written."""
    at = clock() - timedelta(seconds=ago)
    await SecurityEvent.create(name="login_refused", at=at, account=account, network=network, count=count)


async def test_failures_are_seen_by_account_and_by_network(service: Running, client: Backoffice) -> None:
    for user in ("causas", "nobody", "nobody"):
        await client.log_in(user, "wrong")

    seen = await seen_in(service)

    assert [(one.user, one.attempts, one.failures) for one in seen.accounts] == [
        (None, 2, 2),
        ("causas", 1, 1),
    ]
    assert list(seen.networks) == [("127.0.0.1", 3)]


async def test_an_attack_that_a_limit_holds_back_is_seen_all_the_same(start: Start) -> None:
    service = await start(redis_url="redis://127.0.0.1:1/0")  # nor does it need Redis
    for _ in range(20):
        await service.client.log_in("nobody", "wrong")

    seen = await seen_in(service)

    assert [(one.attempts, one.failures < 20) for one in seen.accounts] == [(20, True)]
    assert list(seen.networks) == [("127.0.0.1", 20)]
    assert not (await service.use_cases.observe()).redis_answers


async def test_living_sessions_are_counted_and_their_logins_are_no_attack(
    service: Running, client: Backoffice
) -> None:
    for _ in range(2):
        await client.log_in()

    seen = await seen_in(service)

    assert seen.sessions == 2
    assert (list(seen.accounts), list(seen.networks)) == ([], [])


async def test_what_several_processes_have_written_is_added_up_and_what_is_long_ago_is_not(
    service: Running, clock: FakeClock
) -> None:
    await refused(clock, "192.0.2.1", 30)
    await refused(clock, "192.0.2.1", 12, ago=60)
    await refused(clock, "192.0.2.1", 1000, ago=int(ATTACKS_WITHIN.total_seconds()) + 1)

    seen = await seen_in(service)

    assert [one.attempts for one in seen.accounts] == [42]
    assert list(seen.networks) == [("192.0.2.1", 42)]


async def test_networks_of_ipv6_are_added_up_to_the_one_around_them(
    service: Running, clock: FakeClock
) -> None:
    await refused(clock, "198.51.100.1", 4)
    for number in range(1, 4):
        await refused(clock, f"2001:db8:7:{number}::/64", number)

    seen = await seen_in(service)

    assert list(seen.networks)[:3] == [
        ("2001:db8:7::/48", 6),
        ("198.51.100.1", 4),
        ("2001:db8:7:3::/64", 3),
    ]


async def test_the_first_five_are_told(service: Running, clock: FakeClock) -> None:
    for number in range(1, 10):
        await refused(clock, f"192.0.2.{number}", number, account=str(number))

    seen = await seen_in(service)

    assert [one.attempts for one in seen.accounts] == [many for _, many in seen.networks] == [9, 8, 7, 6, 5]
