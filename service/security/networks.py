"""Who a client is, as far as an address can tell."""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

# One subscriber usually holds a whole /64 and can take any address in it; many are given a /48.
_IPV6_PREFIX = 64
_IPV6_WIDE_PREFIX = 48


@dataclass(frozen=True, slots=True)
class Client:
    """A client's address, the network the limits count it by, and the User-Agent it sent."""

    address: str
    network: str
    wide_network: str | None = None  # the IPv6 /48 around it; None for IPv4
    agent: str = ""

    @classmethod
    def at(cls, address: str, agent: str = "") -> Self:
        """Describe the client at an IPv4 or IPv6 address; IPv4-mapped IPv6 is IPv4.

        Raises ValueError for anything that is no address.
        """
        return cls(*_address_and_networks(address.partition("%")[0]), agent)


@lru_cache(1000)
def _address_and_networks(address: str) -> tuple[str, str, str | None]:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip), str(ip), None
    return str(ip), _around(ip, _IPV6_PREFIX), _around(ip, _IPV6_WIDE_PREFIX)


def _around(ip: ipaddress.IPv6Address, prefix: int) -> str:
    return str(ipaddress.ip_network((ip, prefix), strict=False))
