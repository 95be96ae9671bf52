"""Client addresses, and the networks that limits count them by."""

import pytest

from service.security.networks import Client


@pytest.mark.parametrize(
    ("given", "address", "network", "wide_network"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.7", None),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:0DB8:0001:0002::", "2001:db8:1:2::", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("::1", "::1", "::/64", "::/48"),
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.7", None),
        ("::ffff:cb00:7107", "203.0.113.7", "203.0.113.7", None),
        ("fe80::1%eth0", "fe80::1", "fe80::/64", "fe80::/48"),
        ("::ffff:203.0.113.7%eth0", "203.0.113.7", "203.0.113.7", None),
    ],
)
def test_an_address_belongs_to_a_network(
    given: str, address: str, network: str, wide_network: str | None
) -> None:
    assert Client.at(given) == Client(address, network, wide_network)


def test_all_addresses_of_a_64_are_one_network_and_the_next_64_is_another() -> None:
    first, last, next_one = (
        Client.at(address).network
        for address in ("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::")
    )

    assert first == last != next_one


def test_the_agent_is_kept_beside_the_address() -> None:
    assert Client.at("203.0.113.7", "curl/8").agent == "curl/8"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "unknown",
        "localhost",
        "203.0.113",
        "203.0.113.7:80",
        "203.0.113.256",
        "203.0.113.07",
        "203.0.113.0/24",
        " 203.0.113.7",
        "203.0.113.7, 203.0.113.8",
        "[::1]",
        "2001:db8::/64",
        "12345::",
        "%eth0",
        "3405803783",
        "٢٠٣.0.113.7",
    ],
)
def test_what_is_no_address_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        Client.at(text)
