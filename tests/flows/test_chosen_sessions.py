"""An operator chooses sessions by what they have in common; all of it must hold, and others are untouched."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from models import KnownNetwork, SecurityEvent, Session, User
from service.errors import DatabaseUnavailable
from service.stores import keys
from service.stores.bulk_revocations import SESSIONS_AT_ONCE, USERS_AT_ONCE
from service.stores.security_events import SecurityEvents
from service.stores.sessions import TOMBSTONE
from service.use_cases.choose_sessions import Selection, agent_pattern
from service.use_cases.revoke import Receipt
from tests.backoffice import PASSWORD, Backoffice
from tests.conftest import FakeClock, Running, Start
from tests.timing import assert_within, until

FIREFOX, CURL = "Mozilla/5.0 (X11; Linux) Firefox/140", "curl/8.14.1"


class FirstAnswerLost(SecurityEvents):
    """Has its first transaction committed, and nobody told of it."""

    lost = False

    async def commit_all(self, *transaction: Any, **options: Any) -> Any:
        done = await super().commit_all(*transaction, **options)
        if not self.lost:
            self.lost = True
            raise DatabaseUnavailable
        return done


async def open_sessions(user: User, clock: FakeClock, *ips: str, agent: str = FIREFOX) -> None:
    """Open one from each address, past the service; their ids rise from one call to the next."""
    there = await Session.all().count()
    await Session.bulk_create(
        [
            Session(
                id=f"{there + number:016x}{user.id:016x}",
                user_id=user.id,
                version=user.session_version,
                ip=ip,
                agent=agent,
                started_at=clock(),
                expires_at=clock() + timedelta(hours=8),
                last_seen_at=clock(),
            )
            for number, ip in enumerate(ips)
        ]
    )


async def causas_of(service: Running) -> User:
    return await service.use_cases.find_user("causas")


async def chosen(service: Running, **choice: object) -> Sequence[str]:
    """Name the addresses of the sessions that are chosen."""
    page = await service.use_cases.choose_sessions.page(Selection(**choice), 1)  # type: ignore[arg-type]
    assert page.total == len(page.sessions)
    return sorted(row.ip for row in page.sessions)


async def revoke(service: Running, **choice: object) -> Receipt:
    return await service.use_cases.revoke(Selection(**choice), by="test")  # type: ignore[arg-type]


async def tombstones(service: Running) -> int:
    """Count the sessions that Redis knows to be revoked."""
    redis = service.use_cases.authenticate.sessions.redis
    rows = await Session.all()
    return [await redis.execute("GET", keys.session(row.user_id, row.id)) for row in rows].count(TOMBSTONE)


@pytest.mark.parametrize(
    ("network", "inside"),
    [
        ("203.0.113.0/24", ["203.0.113.0", "203.0.113.255"]),
        ("203.0.113.0/25", ["203.0.113.0"]),
        ("203.0.113.255/32", ["203.0.113.255"]),
        ("2001:db8::/48", ["2001:db8::1"]),
        ("2001:db8::/47", ["2001:db8:1::1", "2001:db8::1"]),
        ("::/0", ["2001:db8:1::1", "2001:db8::1"]),
        ("0.0.0.0/0", ["203.0.113.0", "203.0.113.255", "203.0.114.0"]),
    ],
)
async def test_a_network_is_matched_to_the_bit(
    service: Running, clock: FakeClock, network: str, inside: Sequence[str]
) -> None:
    addresses = "203.0.113.0", "203.0.113.255", "203.0.114.0", "2001:db8::1", "2001:db8:1::1", "no address"
    await open_sessions(await causas_of(service), clock, *addresses)

    assert await chosen(service, network=ip_network(network)) == inside


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("firefox", ["192.0.2.1"]),
        ("CURL", ["192.0.2.2"]),
        ("curl*", ["192.0.2.2"]),
        ("url*", []),
        ("*/8.14.?", ["192.0.2.2"]),
        ("8.14.?", []),
        (".", ["192.0.2.1", "192.0.2.2"]),
        ("c.rl", []),
        ("", ["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        ("STRASSE ÄÖ", ["192.0.2.3"]),
    ],
)
async def test_an_agent_is_matched_by_a_part_or_as_a_whole_by_a_pattern(
    service: Running, clock: FakeClock, text: str, found: Sequence[str]
) -> None:
    causas = await causas_of(service)
    await open_sessions(causas, clock, "192.0.2.1", agent=FIREFOX)
    await open_sessions(causas, clock, "192.0.2.2", agent=CURL)
    await open_sessions(causas, clock, "192.0.2.3", agent="strasse äö")

    assert await chosen(service, agent=agent_pattern(text)) == found


async def test_sessions_are_chosen_by_age_and_idleness(service: Running, clock: FakeClock) -> None:
    causas = await causas_of(service)
    await open_sessions(causas, clock, "192.0.2.1")
    clock.advance(hours=1)
    await open_sessions(causas, clock, "192.0.2.2")
    await Session.filter(ip="192.0.2.1").update(last_seen_at=clock())
    between = clock() - timedelta(minutes=30)

    assert await chosen(service, issued_before=between) == ["192.0.2.1"]
    assert await chosen(service, issued_after=between) == ["192.0.2.2"]
    clock.advance(minutes=5)
    await Session.filter(ip="192.0.2.1").update(last_seen_at=clock())
    assert await chosen(service, seen_before=clock()) == ["192.0.2.2"]


async def test_what_is_chosen_must_hold_altogether(service: Running, clock: FakeClock) -> None:
    causas = await causas_of(service)
    other = await service.use_cases.create_user("other", "Other", PASSWORD, by="test")
    await open_sessions(causas, clock, "192.0.2.1", "203.0.113.1", agent=CURL)
    await open_sessions(causas, clock, "192.0.2.2", agent=FIREFOX)
    await open_sessions(other, clock, "192.0.2.3", agent=CURL)
    choice = {
        "user_ids": frozenset([causas.id]),
        "network": ip_network("192.0.2.0/24"),
        "agent": agent_pattern("curl"),
    }

    assert await chosen(service, **choice) == ["192.0.2.1"]
    assert (await revoke(service, **choice)).sessions == 1
    assert await chosen(service) == ["192.0.2.2", "192.0.2.3", "203.0.113.1"]
    assert (await revoke(service, **choice)).sessions == 0


async def test_the_dead_are_not_chosen(service: Running, clock: FakeClock) -> None:
    causas = await causas_of(service)
    await open_sessions(causas, clock, "192.0.2.1", "192.0.2.2", "192.0.2.3")
    await Session.filter(ip="192.0.2.1").update(revoked_at=clock())
    await Session.filter(ip="192.0.2.2").update(expires_at=clock())
    await Session.filter(ip="192.0.2.3").update(version=0)

    assert await chosen(service) == []
    assert (await revoke(service)).sessions == 0


async def test_many_batches_end_and_a_bystander_stays(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    number = 2 * SESSIONS_AT_ONCE + SESSIONS_AT_ONCE // 2
    await open_sessions(await causas_of(service), clock, *["203.0.113.1"] * number)
    token = await client.token()

    receipt = await revoke(service, network=ip_network("203.0.113.0/24"))

    assert (receipt.sessions, receipt.users, receipt.stopped_by, receipt.confirmed) == (number, 1, None, True)
    assert await tombstones(service) == number
    assert (await client.who_am_i(token)).status_code == 200


async def test_a_batch_has_as_few_users_as_can_be_and_an_event_for_each(
    service: Running, clock: FakeClock
) -> None:
    users = [
        await causas_of(service),
        await service.use_cases.create_user("other", "Other", PASSWORD, by="test"),
    ]
    for _ in range(3):
        for user in users:
            await open_sessions(user, clock, *["203.0.113.1"] * (SESSIONS_AT_ONCE // 2))

    await revoke(service, network=ip_network("203.0.113.0/24"))

    told = Counter(event.details["sessions"] for event in await SecurityEvent.filter(name="session_revoked"))
    assert told == {SESSIONS_AT_ONCE: 2, SESSIONS_AT_ONCE // 2: 2}


async def test_users_lose_all_and_their_networks_but_not_those_who_are_not_named(
    service: Running, client: Backoffice
) -> None:
    other = await service.use_cases.create_user("other", "Other", PASSWORD, by="test")
    hers, others = await client.token(), await client.token("other")

    receipt = await revoke(service, user_ids=frozenset([(await causas_of(service)).id]))

    assert (receipt.sessions, receipt.users) == (1, 1)
    assert (await client.who_am_i(hers)).status_code == 401
    assert (await client.who_am_i(others)).status_code == 200
    assert [row.user_id for row in await KnownNetwork.all()] == [other.id]
    assert (await Session.get(user_id__not=other.id)).revoked_by == "test"


async def test_everybody_loses_all_but_their_networks(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    token = await client.token()
    for number in range(USERS_AT_ONCE + 1):
        row = await service.use_cases.create_user(f"user-{number}", "x", PASSWORD, by="test")
        await open_sessions(row, clock, "192.0.2.1")

    receipt = await revoke(service)

    assert (receipt.sessions, receipt.users) == (USERS_AT_ONCE + 2, USERS_AT_ONCE + 2)
    assert (await client.who_am_i(token)).status_code == 401
    assert await KnownNetwork.all().count() == 1
    assert await Session.filter(revoked_at=None).count() == 0


async def test_a_session_opened_after_its_user_was_revoked_is_not_marked(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    await client.token()
    await service.revoke("causas")
    token = await client.token()

    user_ids = [(await causas_of(service)).id]
    await service.use_cases.revoke.bulk.mark(user_ids, by="test", why="test", now=clock())

    assert (await client.who_am_i(token)).status_code == 200
    assert await Session.filter(revoked_at=None).count() == 1


async def test_a_stop_comes_between_two_batches_and_counts_what_is_done(
    service: Running, clock: FakeClock
) -> None:
    number = 5 * SESSIONS_AT_ONCE
    await open_sessions(await causas_of(service), clock, *["203.0.113.1"] * number)
    told: list[int] = []

    def proceed(ended: int) -> bool:
        told.append(ended)
        return False

    choice = Selection(network=ip_network("203.0.113.0/24"))
    receipt = await service.use_cases.revoke(choice, by="test", proceed=proceed)

    assert (receipt.stopped_by, told) == ("interrupt", [receipt.sessions])
    assert receipt.sessions == 4 * SESSIONS_AT_ONCE == await Session.filter(revoked_by="test").count()


async def test_without_redis_there_is_one_wait_for_all_batches(start: Start, clock: FakeClock) -> None:
    running = await start(redis_url="redis://127.0.0.1:1/0")
    causas = await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
    await open_sessions(causas, clock, *["203.0.113.1"] * 5 * SESSIONS_AT_ONCE)

    receipt = await revoke(running, network=ip_network("203.0.113.0/24"))

    assert (receipt.sessions, receipt.confirmed) == (5 * SESSIONS_AT_ONCE, False)
    # From the last commit on: what a slow machine does after that is part of the wait.
    assert receipt.waited_seconds > 0
    assert_within(0.6, receipt.waited_seconds)


async def test_pages_are_newest_first_and_the_last_one_is_short(service: Running, clock: FakeClock) -> None:
    causas = await causas_of(service)
    for number in range(101):
        await open_sessions(causas, clock, f"192.0.2.{number}")
        clock.advance(seconds=1)

    pages = [await service.use_cases.choose_sessions.page(Selection(), number) for number in (1, 2, 3, 4)]

    assert [len(page.sessions) for page in pages] == [50, 50, 1, 0]
    listed = [row.ip for page in pages for row in page.sessions]
    assert listed == [f"192.0.2.{number}" for number in reversed(range(101))]
    assert {(page.total, page.last) for page in pages} == {(101, 3)}


async def test_sessions_whose_end_was_committed_without_an_answer_are_in_the_receipt(
    service: Running, client: Backoffice
) -> None:
    tokens = [await client.token(), await client.token()]
    user = await service.use_cases.find_user("causas")
    revoke = service.use_cases.revoke
    bulk = replace(revoke.bulk, events=FirstAnswerLost(revoke.bulk.database, revoke.clock))

    receipt = await replace(revoke, bulk=bulk)(Selection(user_ids=frozenset([user.id])), by="test")

    assert (receipt.sessions, receipt.users) == (2, 1)
    assert [(await client.who_am_i(token)).status_code for token in tokens] == [401, 401]


async def test_a_session_whose_token_lives_on_by_its_leeway_ends_like_the_others(
    service: Running, clock: FakeClock
) -> None:
    token = await service.client.token()
    clock.advance(hours=8, seconds=2)

    receipt = await revoke(service, network=ip_network("127.0.0.0/8"))

    # It would have been good for eight hours more.
    assert (await service.client.refresh(token)).status_code == 401
    assert receipt.sessions == 1


async def test_who_has_more_sessions_than_one_transaction_takes_is_shut_out_at_once_all_the_same(
    service: Running, clock: FakeClock
) -> None:
    causas, token = await causas_of(service), await service.client.token()
    await open_sessions(causas, clock, *["192.0.2.1"] * 4500)

    ended = await service.use_cases.disable_user("causas", by="test")
    status = (await service.client.who_am_i(token)).status_code

    assert (ended, status) == (4501, 401)
    # Who ended them is written down afterwards.
    await until(_all_marked)
    assert {row.revoked_why for row in await Session.all()} == {"disabled"}


async def test_any_number_of_other_sessions_is_ended_by_their_owner(
    service: Running, clock: FakeClock
) -> None:
    causas, token = await causas_of(service), await service.client.token()
    await open_sessions(causas, clock, *["192.0.2.1"] * 2000)

    answer = await service.client.log_out(token, "others")

    assert answer.status_code == 204
    assert await tombstones(service) == 2000
    assert (await service.client.who_am_i(token)).status_code == 200
    assert [row.revoked_why for row in await Session.filter(revoked_at__isnull=False)] == [
        "logout_others"
    ] * 2000


async def _all_marked() -> bool:
    return not await Session.filter(revoked_at=None).exists()
