"""Who a client is, as far as an address can tell."""

import ipaddress
from dataclasses import dataclass, replace
from functools import lru_cache

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

    @staticmethod
    def at(address: str, agent: str = "") -> "Client":
        """Describe the client at an IPv4 or IPv6 address; IPv4-mapped IPv6 is IPv4.

        Raises ValueError for anything that is no address.
        """
        client = _client_at(address.partition("%")[0])
        return replace(client, agent=agent) if agent else client


@lru_cache(1000)
def _client_at(address: str) -> Client:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if isinstance(ip, ipaddress.IPv4Address):
        return Client(str(ip), str(ip))
    return Client(str(ip), _around(ip, _IPV6_PREFIX), _around(ip, _IPV6_WIDE_PREFIX))


def _around(ip: ipaddress.IPv6Address, prefix: int) -> str:
    return str(ipaddress.ip_network((ip, prefix), strict=False))
