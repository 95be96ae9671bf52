"""Who a client is, as far as an address can tell."""

import ipaddress
from dataclasses import dataclass
from typing import Self

# One subscriber usually holds a whole /64 and can take any address in it.
_IPV6_PREFIX = 64


@dataclass(frozen=True, slots=True)
class Client:
    """A client's address, the network the limits count it by, and the User-Agent it sent."""

    address: str
    network: str
    agent: str = ""

    @classmethod
    def at(cls, address: str, agent: str = "") -> Self:
        """Describe the client at an IPv4 or IPv6 address; IPv4-mapped IPv6 is IPv4.

        Raises ValueError for anything that is no address.
        """
        ip = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        if isinstance(ip, ipaddress.IPv4Address):
            return cls(str(ip), str(ip), agent)
        network = ipaddress.ip_network((ip, _IPV6_PREFIX), strict=False)
        return cls(str(ip), str(network), agent)
