"""The address of a client is what its session shows, and what its attempts are counted by."""

from collections.abc import Sequence
from ipaddress import ip_network

import httpx
import pytest

from tests.backoffice import AUTH, PASSWORD
from tests.conftest import Running, Start

HERE = "127.0.0.1"  # where the tests connect from: the peer, or the nearest proxy
CLIENT, OTHER, OUTER = "203.0.113.7", "198.51.100.9", "10.0.0.2"
HERE_IS_TRUSTED = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))


async def log_in(service: Running, lines: Sequence[str], password: str = PASSWORD) -> httpx.Response:
    """Sign in with several X-Forwarded-For lines."""
    headers = [("X-Forwarded-For", line) for line in lines]
    return await service.client._session.post(
        service.client._base + AUTH, json={"user": "causas", "password": password}, headers=headers
    )


async def address_shown(service: Running, lines: Sequence[str]) -> str:
    token = (await log_in(service, lines)).json()["token"]
    (session,) = (await service.client.sessions(token)).json()["data"]
    return str(session["ip"])


async def started(start: Start, **changes: object) -> Running:
    service = await start(**changes)
    await service.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
    return service


@pytest.mark.parametrize(
    ("hops", "lines", "expected"),
    [
        (0, [CLIENT], HERE),
        (1, [CLIENT], CLIENT),
        (1, [f"{OTHER}, {CLIENT}"], CLIENT),
        (1, [OTHER, CLIENT], CLIENT),
        (1, [], HERE),
        (1, ["junk"], HERE),
        (1, ["[2001:db8::7]:4711"], "2001:db8::7"),
        (1, ["::ffff:203.0.113.7"], CLIENT),
        (2, [OTHER, CLIENT, OUTER], CLIENT),
        (2, [CLIENT], HERE),
    ],
)
async def test_behind_so_many_proxies(start: Start, hops: int, lines: Sequence[str], expected: str) -> None:
    service = await started(start, trusted_proxy_hops=hops)

    assert await address_shown(service, lines) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [([CLIENT], CLIENT), ([OTHER, f"{CLIENT}:80", OUTER], CLIENT), ([], HERE), (["junk", OUTER], HERE)],
)
async def test_behind_proxies_in_trusted_networks(start: Start, lines: Sequence[str], expected: str) -> None:
    service = await started(start, trusted_proxies=HERE_IS_TRUSTED)

    assert await address_shown(service, lines) == expected


async def test_a_proxy_outside_the_trusted_networks_is_not_believed(start: Start) -> None:
    service = await started(start, trusted_proxies=(ip_network("10.0.0.0/8"),))

    assert await address_shown(service, [CLIENT]) == HERE


async def test_junk_is_counted_for_the_proxy_that_wrote_it_and_for_nobody_else(start: Start) -> None:
    service = await started(start, trusted_proxy_hops=1)

    junk = [await log_in(service, [f"junk {number}"], "wrong") for number in range(6)]
    honest = await log_in(service, [CLIENT])

    assert [answer.status_code for answer in junk] == [401] * 5 + [429]
    assert honest.status_code == 200


@pytest.mark.parametrize(
    "spellings",
    [
        [
            CLIENT,
            f"{CLIENT}:80",
            f"::ffff:{CLIENT}",
            f"[::ffff:{CLIENT}]:443",
            f"{OTHER}, {CLIENT}",
            "::ffff:cb00:7107",
        ],
        [f"2001:db8:1:2::{host:x}" for host in range(6)],
    ],
    ids=["one address", "one household"],
)
async def test_all_spellings_of_a_network_share_one_counter(start: Start, spellings: Sequence[str]) -> None:
    service = await started(start, trusted_proxy_hops=1)

    answers = [await log_in(service, [spelling], "wrong") for spelling in spellings]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
