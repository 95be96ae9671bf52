"""Whose word about an address is taken: that of so many proxies, or of those in certain networks."""

from ipaddress import ip_network

import pytest

from service.routes.client_network import Proxies

PEER = "192.0.2.1"  # who holds the connection
CLIENT, FORGED = "203.0.113.7", "198.51.100.9"
INNER, OUTER = "10.0.0.1", "10.0.0.2"


def behind(hops: int) -> Proxies:
    return Proxies((), hops)


def inside(*networks: str) -> Proxies:
    return Proxies(tuple(ip_network(network) for network in networks), 0)


@pytest.mark.parametrize(
    ("hops", "forwarded", "expected"),
    [
        (0, [], PEER),
        (0, [CLIENT], PEER),
        (1, [CLIENT], CLIENT),
        (1, [f"{FORGED}, {CLIENT}"], CLIENT),
        (1, [f"junk, {CLIENT}"], CLIENT),
        (1, [FORGED, CLIENT], CLIENT),
        (1, [f"{FORGED}, {FORGED}", f"{FORGED},{CLIENT}"], CLIENT),
        (2, [f"{CLIENT}, {OUTER}"], CLIENT),
        (2, [CLIENT, OUTER], CLIENT),
        (2, [f"{FORGED}, {CLIENT}, {OUTER}"], CLIENT),
    ],
)
def test_so_many_proxies_are_believed_from_the_right(hops: int, forwarded: list[str], expected: str) -> None:
    assert behind(hops).client_address(PEER, forwarded) == expected


@pytest.mark.parametrize("hops", [1, 2, 16])
@pytest.mark.parametrize("forwarded", [[], [""], [" "]])
def test_fewer_entries_than_proxies_are_the_peers_own(hops: int, forwarded: list[str]) -> None:
    assert behind(hops).client_address(PEER, forwarded) == PEER


def test_one_entry_behind_two_proxies_is_the_peers_own() -> None:
    assert behind(2).client_address(PEER, [CLIENT]) == PEER


@pytest.mark.parametrize(
    "entry",
    [
        "junk",
        "unknown",
        "_hidden",
        "1.2.3",
        "1.2.3.4.5",
        "300.1.1.1",
        "[junk]",
        "[",
        ",",
        "localhost",
        "0x7f.1",
    ],
)
@pytest.mark.parametrize("proxies", [behind(1), inside("192.0.2.0/24")], ids=["hops", "networks"])
def test_what_is_no_address_is_the_peers_own(proxies: Proxies, entry: str) -> None:
    assert proxies.client_address(PEER, [f"{CLIENT}, {entry}"]) == PEER


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("203.0.113.7:4711", "203.0.113.7"),
        (" 203.0.113.7\t", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:0DB8:0:0::7", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:4711", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
@pytest.mark.parametrize("proxies", [behind(1), inside("192.0.2.0/24")], ids=["hops", "networks"])
def test_an_address_is_read_however_a_proxy_writes_it(proxies: Proxies, entry: str, expected: str) -> None:
    assert proxies.client_address(PEER, [entry]) == expected


@pytest.mark.parametrize(
    ("networks", "peer", "forwarded", "expected"),
    [
        (["10.0.0.0/8"], CLIENT, [FORGED], CLIENT),
        (["10.0.0.0/8"], INNER, [], INNER),
        (["10.0.0.0/8"], INNER, [CLIENT], CLIENT),
        (["10.0.0.0/8"], INNER, [f"{FORGED}, {CLIENT}"], CLIENT),
        (["10.0.0.0/8"], INNER, [f"{FORGED}, {CLIENT}, {OUTER}"], CLIENT),
        (["10.0.0.0/8"], INNER, [f"{FORGED}, {CLIENT}", OUTER], CLIENT),
        (["10.0.0.0/8"], INNER, [f"junk, {CLIENT}, {OUTER}"], CLIENT),
        (["10.0.0.1/32"], INNER, [f"{CLIENT}, {OUTER}"], OUTER),
        (["10.0.0.0/8", "2001:db8:ffff::/48"], INNER, [f"{CLIENT}, 2001:db8:ffff::1"], CLIENT),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", [CLIENT], CLIENT),
        (["2001:db8:ffff::/48"], "2001:db8:ffff::1", ["2001:db8::7"], "2001:db8::7"),
    ],
)
def test_proxies_in_trusted_networks_are_believed_up_to_the_first_stranger(
    networks: list[str], peer: str, forwarded: list[str], expected: str
) -> None:
    assert inside(*networks).client_address(peer, forwarded) == expected


def test_where_everybody_is_trusted_the_outermost_is_the_client() -> None:
    assert inside("10.0.0.0/8").client_address(INNER, [f"10.9.9.9, {OUTER}"]) == "10.9.9.9"


def test_networks_count_and_not_hops_where_both_are_named() -> None:
    proxies = Proxies((ip_network("10.0.0.0/8"),), 1)

    assert proxies.client_address(CLIENT, [FORGED]) == CLIENT
