"""Guessing does not pay, and does not hurt the owner."""

import asyncio
import math
import random
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

import httpx
import pytest

from models import KnownNetwork, LoginFailures, User
from service.security.accounts import Account, AccountHash
from service.security.networks import Client
from service.settings import Limit
from service.stores.login_history import LoginHistory
from service.uncancelled import finish_all
from tests.backoffice import PASSWORD, Backoffice
from tests.conftest import FakeClock, Running, Start
from tests.timing import until

HOME, WORK = "203.0.113.7", "198.51.100.7"
OTHER_PASSWORD = "another horse, another battery"

Service = Callable[..., Awaitable[Running]]


@pytest.fixture
def behind_a_proxy(start: Start) -> Service:
    """Start a service that takes the last X-Forwarded-For for the client, with one user, causas."""

    async def started(**changes: object) -> Running:
        # Two hundred clients keep the loop busy that they share with the service: Redis is not lost by that.
        running = await start(trusted_proxy_hops=1, redis_timeout=timedelta(seconds=5), **changes)
        await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
        return running

    return started


def log_in_from(
    service: Running, address: str, user: str = "causas", password: str = PASSWORD
) -> Awaitable[httpx.Response]:
    return service.client.log_in(user, password, headers={"X-Forwarded-For": address})


async def guess(service: Running, addresses: Iterable[str], user: str = "causas") -> Counter[int]:
    """Send a wrong password from each address at once; count the statuses."""
    answers = await asyncio.gather(*(log_in_from(service, a, user, "wrong") for a in addresses))
    return Counter(answer.status_code for answer in answers)


def addresses(count: int) -> list[str]:
    return [f"192.0.2.{number}" for number in range(1, count + 1)]


async def forget_redis(service: Running) -> None:
    redis = service.use_cases.authenticate.sessions.redis
    if keys := await redis.execute("KEYS", "bo:*"):
        await redis.execute("DEL", *keys)


async def known_networks() -> set[str]:
    return {row.network for row in await KnownNetwork.all()}


async def bookkeeping_is_done(failures: int) -> None:
    """Wait until so many failures in a row are written down: it happens after the answer."""

    async def is_done() -> bool:
        row = await LoginFailures.all().first()
        return (row.consecutive if row else 0) == failures

    await until(is_done)


async def fail(service: Running, times: int, user: str = "causas") -> None:
    """Fail so often in a row, from as many addresses, each written down before the next begins."""
    for failures, address in enumerate(addresses(times), start=1):
        answer = await log_in_from(service, address, user, "wrong")
        assert answer.status_code == 401
        await bookkeeping_is_done(failures)


async def test_of_200_parallel_guesses_5_are_looked_at(behind_a_proxy: Service) -> None:
    service = await behind_a_proxy()

    statuses = await guess(service, [HOME] * 200)

    assert statuses == {401: 5, 429: 195}


async def test_of_200_addresses_20_may_guess_at_one_account(behind_a_proxy: Service) -> None:
    service = await behind_a_proxy()

    statuses = await guess(service, addresses(200))

    assert statuses == {401: 20, 429: 180}


async def test_one_address_may_guess_at_50_of_200_accounts(behind_a_proxy: Service) -> None:
    service = await behind_a_proxy()

    answers = await asyncio.gather(
        *(log_in_from(service, HOME, f"user {number}", "wrong") for number in range(200))
    )

    assert Counter(answer.status_code for answer in answers) == {401: 50, 429: 150}


async def test_one_ipv6_household_is_one_network_and_one_site_is_worth_four(behind_a_proxy: Service) -> None:
    service = await behind_a_proxy(limit_login_account=None)

    household = [
        await guess(service, ["2001:db8:1:1::" + format(host, "x")], user=f"user {host}")
        for host in range(1, 61)
    ]
    site = [
        await guess(service, [f"2001:db8:1:{net:x}::1"], user=f"user {net}") for net in range(0x100, 0x1A0)
    ]

    assert sum(household, Counter()) == {401: 50, 429: 10}
    assert sum(site, Counter()) == {401: 150, 429: 10}


async def test_the_owner_gets_in_from_home_while_strangers_hammer_her_account(
    behind_a_proxy: Service,
) -> None:
    service = await behind_a_proxy()
    await log_in_from(service, HOME)
    await guess(service, addresses(200))

    at_home = await log_in_from(service, HOME)
    at_a_strange_place = await log_in_from(service, WORK)

    assert at_home.status_code == 200
    assert at_a_strange_place.status_code == 429


async def test_a_site_full_of_addresses_does_not_lock_her_out_either(behind_a_proxy: Service) -> None:
    service = await behind_a_proxy()
    await log_in_from(service, "2001:db8:aaaa:1::7")
    await guess(service, [f"2001:db8:bbbb:{net:x}::1" for net in range(200)])

    answer = await log_in_from(service, "2001:db8:aaaa:1::8")

    assert answer.status_code == 200


async def test_thirty_parallel_right_passwords_are_thirty_logins(behind_a_proxy: Service) -> None:
    service = await behind_a_proxy()

    answers = await asyncio.gather(*(log_in_from(service, HOME) for _ in range(30)))

    assert Counter(answer.status_code for answer in answers) == {200: 30}


async def test_a_blocked_attempt_extends_nothing(behind_a_proxy: Service) -> None:
    service = await behind_a_proxy(limit_login=Limit(2, timedelta(seconds=2)))
    await guess(service, [HOME] * 2)
    refused = await log_in_from(service, HOME)
    await guess(service, [HOME] * 10)

    await asyncio.sleep(int(refused.headers["retry-after"]))
    answer = await log_in_from(service, HOME)

    assert refused.status_code == 429
    assert answer.status_code == 200


async def test_her_own_login_resets_nobody_elses_counter(behind_a_proxy: Service) -> None:
    service = await behind_a_proxy(limit_login_network=Limit(6, timedelta(minutes=5)))
    await service.use_cases.create_user("mallory", "Mallory", PASSWORD, by="test")
    await guess(service, [HOME] * 5)

    own = await log_in_from(service, HOME, "mallory")
    victim = await log_in_from(service, HOME)
    network = await guess(service, [HOME] * 2, "somebody else")

    assert (own.status_code, victim.status_code) == (200, 429)
    assert network == {401: 1, 429: 1}


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "X-Client-IP"],
)
async def test_forged_address_headers_change_nothing(client: Backoffice, header: str) -> None:
    value = "for={}" if header == "Forwarded" else "{}"

    answers = [
        await client.log_in(password="wrong", headers={header: value.format(address)})
        for address in addresses(6)
    ]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


async def test_what_a_client_adds_in_front_of_the_proxys_entry_changes_nothing(
    behind_a_proxy: Service,
) -> None:
    service = await behind_a_proxy()

    statuses = await guess(service, [f"{forged}, {HOME}" for forged in [*addresses(5), "junk"]])

    assert statuses == {401: 5, 429: 1}


async def test_all_spellings_of_a_name_share_one_counter(client: Backoffice) -> None:
    spellings = [
        "caf\u00e9",
        "CAFE\u0301",
        " Caf\u00e9\t",
        "\uff23\uff21\uff26\u00c9",
        "cafe\u0301",
        "CAF\u00c9",
    ]

    answers = [await client.log_in(user, "wrong") for user in spellings]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


def under_a_new_signing_key(service: Running) -> tuple[LoginHistory, Account]:
    """Return the history, and the account of causas as it is known while the old key still verifies."""
    verify = service.use_cases.log_in.verify_password
    return verify.history, AccountHash([b"a new key", *verify.account_hash.keys])("causas")


class TestAfterAHundredFailures:
    """No short limit here, so that what is left is the long block."""

    @pytest.fixture
    async def service(self, behind_a_proxy: Service) -> Running:
        many = Limit(1000, timedelta(minutes=15))
        return await behind_a_proxy(limit_login=None, limit_login_account=many, limit_login_network=None)

    async def test_of_parallel_ones_no_more_than_a_hundred_are_looked_at(self, service: Running) -> None:
        statuses: Counter[int] = Counter()
        for _ in range(6):
            statuses += await guess(service, addresses(30))

        # An attempt that is written down and not yet settled counts twice for a moment: one less, never more.
        assert 90 <= statuses[401] <= 100
        assert statuses[429] == 180 - statuses[401]

    @pytest.mark.parametrize("user", ["causas", "nobody"])
    async def test_an_account_is_blocked_whether_it_exists_or_not(self, service: Running, user: str) -> None:
        await fail(service, 100, user)

        answer = await log_in_from(service, WORK, user)

        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "3600"

    async def test_a_known_network_is_not(self, service: Running) -> None:
        await log_in_from(service, HOME)
        await fail(service, 100)

        answer = await log_in_from(service, HOME)

        assert answer.status_code == 200

    async def test_no_loss_of_redis_frees_it(self, service: Running) -> None:
        await fail(service, 100)
        await forget_redis(service)

        answer = await log_in_from(service, WORK)

        assert answer.status_code == 429

    async def test_each_block_is_twice_as_long_as_the_one_before_up_to_a_day(
        self, service: Running, clock: FakeClock
    ) -> None:
        await fail(service, 100)
        waits = []
        for failures in range(101, 108):
            await bookkeeping_is_done(failures - 1)
            waits.append(int((await log_in_from(service, WORK)).headers["retry-after"]))
            clock.advance(seconds=waits[-1])
            await guess(service, [WORK])

        assert [wait // 3600 for wait in waits] == [1, 2, 4, 8, 16, 24, 24]

    async def test_a_success_begins_the_row_anew(self, service: Running) -> None:
        await fail(service, 99)

        answer = await log_in_from(service, WORK)

        assert answer.status_code == 200
        await bookkeeping_is_done(0)

    async def test_a_password_set_by_an_operator_ends_the_block(self, service: Running) -> None:
        await fail(service, 100)

        await service.use_cases.set_password("causas", OTHER_PASSWORD, by="test")

        assert (await log_in_from(service, WORK, password=OTHER_PASSWORD)).status_code == 200

    async def test_a_new_signing_key_frees_nobody_while_the_old_one_verifies(
        self, service: Running, clock: FakeClock
    ) -> None:
        await fail(service, 100)
        history, rotated = under_a_new_signing_key(service)

        standing = await history.standing("causas", rotated, WORK, clock())

        assert standing.blocked_for(clock()) == timedelta(hours=1)

    async def test_failures_in_a_row_go_on_under_a_new_signing_key(
        self, service: Running, clock: FakeClock
    ) -> None:
        await fail(service, 99)
        history, rotated = under_a_new_signing_key(service)

        began_a_block = await history.failed(rotated, None, WORK, clock())

        standing = await history.standing("causas", rotated, WORK, clock())
        assert (began_a_block, standing.failures) == (True, 100)

    async def test_an_operator_can_end_the_block(self, service: Running) -> None:
        await fail(service, 100)

        listed = await service.use_cases.list_blocks()
        unblocked = await service.use_cases.unblock_login("causas", by="test")

        assert [(block.user, block.failures) for block in listed] == [("causas", 100)]
        assert unblocked
        assert (await log_in_from(service, WORK)).status_code == 200

    async def test_fifty_failures_make_a_known_network_unknown(self, service: Running) -> None:
        await log_in_from(service, HOME)

        await guess(service, [HOME] * 49)
        await bookkeeping_is_done(49)
        assert await known_networks() == {HOME}
        await guess(service, [HOME])
        await bookkeeping_is_done(50)

        assert await known_networks() == set()


class TestKnownNetworks:
    @pytest.fixture
    async def service(self, behind_a_proxy: Service) -> Running:
        service = await behind_a_proxy()
        await log_in_from(service, HOME)
        return service

    async def test_are_forgotten_a_month_after_the_last_login(
        self, service: Running, clock: FakeClock
    ) -> None:
        clock.advance(days=31, seconds=1)
        await guess(service, addresses(20))

        assert (await log_in_from(service, HOME)).status_code == 429

    async def test_are_known_for_thirty_days_after_a_login_that_was_not_written_down_again(
        self, service: Running, clock: FakeClock
    ) -> None:
        clock.advance(hours=23)
        await log_in_from(service, HOME)
        clock.advance(days=30)
        await guess(service, addresses(20))

        assert (await log_in_from(service, HOME)).status_code == 200

    async def test_stay_known_with_every_login(self, service: Running, clock: FakeClock) -> None:
        clock.advance(days=20)
        await log_in_from(service, HOME)
        clock.advance(days=20)
        await guess(service, addresses(20))

        assert (await log_in_from(service, HOME)).status_code == 200

    async def test_but_the_current_one_are_forgotten_with_the_old_password(self, service: Running) -> None:
        token = (await log_in_from(service, WORK)).json()["token"]
        body = {"current_password": PASSWORD, "password": OTHER_PASSWORD}
        headers = {"X-Forwarded-For": WORK}

        answer = await service.client.request(
            "PUT", "/v1/backoffice/auth/password", token, json=body, headers=headers
        )

        assert answer.status_code == 200
        assert await known_networks() == {WORK}

    async def test_are_forgotten_by_an_operators_revocation(self, service: Running) -> None:
        await service.revoke("causas")

        assert await known_networks() == set()

    async def test_are_forgotten_by_a_disable(self, service: Running) -> None:
        await service.use_cases.disable_user("causas", by="test")

        assert await known_networks() == set()

    async def test_survive_a_logout_everywhere(self, service: Running) -> None:
        token = (await log_in_from(service, HOME)).json()["token"]

        await service.client.log_out(token, "all")

        assert await known_networks() == {HOME}


async def test_without_redis_a_stricter_limit_and_the_blocks_go_on(behind_a_proxy: Service) -> None:
    service = await behind_a_proxy(redis_url="redis://127.0.0.1:1/0", workers=1)

    short = [await log_in_from(service, HOME, password="wrong") for _ in range(3)]
    await LoginFailures.all().update(blocked_until=service.use_cases.log_in.clock() + timedelta(hours=1))
    blocked = await log_in_from(service, WORK)

    assert [answer.status_code for answer in short] == [401, 401, 429]
    assert blocked.status_code == 429


async def test_a_client_that_hangs_up_has_made_an_attempt(behind_a_proxy: Service) -> None:
    service, may_end = await behind_a_proxy(), threading.Event()
    hashing = asyncio.create_task(service.use_cases.log_in.verify_password.hashing.run(may_end.wait, 10))
    attempts = [asyncio.ensure_future(log_in_from(service, HOME, password="wrong")) for _ in range(5)]
    await until(lambda: counted(service, 5, pending=True))

    for attempt in attempts:
        attempt.cancel()
    await asyncio.wait(attempts)
    may_end.set()
    await hashing

    await until(lambda: counted(service, 5, pending=False))
    assert (await log_in_from(service, HOME)).status_code == 429


async def counted(service: Running, attempts: int, *, pending: bool) -> bool:
    """Whether so many attempts of the pair are counted, and all of them pending or none."""
    found = await service.use_cases.explain_login("causas", Client.at(HOME))
    assert found.counters is not None
    _, count = found.counters[0]
    return (count.attempts, count.pending) == (attempts, attempts if pending else 0)


LIMITED: dict[str, object] = {
    "limit_login": Limit(2, timedelta(minutes=1)),
    "limit_login_account": Limit(4, timedelta(minutes=15)),
    "limit_login_network": Limit(5, timedelta(minutes=5)),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("off", [None, *(pytest.param(name, marks=pytest.mark.thorough) for name in LIMITED)])
async def test_an_explanation_is_what_the_next_login_gets(
    behind_a_proxy: Service, clock: FakeClock, seed: int, off: str | None
) -> None:
    service = await behind_a_proxy(**LIMITED | ({} if off is None else {off: None}))
    chance = random.Random(f"{seed} {off}")
    places = [HOME, WORK, "192.0.2.1", "2001:db8:1:1::1", "2001:db8:1:2::1"]
    statuses = Counter[int]()

    for _ in range(25):
        await a_random_event(service, clock, chance, places)
        address, user = chance.choice(places), chance.choice(["causas", "causas", "nobody"])
        expected = await explained(service, user, address)

        answer = await log_in_from(service, address, user)

        told = (answer.status_code, answer.headers.get("retry-after"))
        # A second may have ended meanwhile; what was refused changes nothing else.
        assert told == expected or (told[0] == 429 and told == await explained(service, user, address))
        statuses[answer.status_code] += 1

    assert statuses[200]
    assert statuses[401] + statuses[429]


async def a_random_event(
    service: Running, clock: FakeClock, chance: random.Random, places: list[str]
) -> None:
    use_cases = service.use_cases
    match chance.choice(["guess"] * 4 + ["forget", "block", "edge", "wait", "unknow", "password", "active"]):
        case "guess":
            await guess(service, [chance.choice(places)], chance.choice(["causas", "nobody"]))
        case "forget":
            await forget_redis(service)
        case "block":
            span = timedelta(minutes=chance.choice([-1, 5]))
            await LoginFailures.all().update(blocked_until=clock() + span)
        case "edge":  # the next failure begins a block
            await LoginFailures.all().update(consecutive=99)
        case "wait":
            clock.advance(minutes=chance.choice([6, 60, 60 * 24 * 31]))
        case "unknow":
            await KnownNetwork.all().delete()
        case "password":
            await use_cases.set_password("causas", PASSWORD, by="test")
        case "active":
            await User.filter(user_key="causas").update(active=chance.random() < 0.7)


async def explained(service: Running, user: str, address: str) -> tuple[int, str | None]:
    await finish_all()  # how the guesses before ended is written down after their answers
    found = await service.use_cases.explain_login(user, Client.at(address))
    wait = found.retry_after
    return found.status, None if wait is None else str(max(1, math.ceil(wait.total_seconds())))
