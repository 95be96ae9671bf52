"""Tell where a request comes from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from sanic import Request

from service.security.networks import Client
from service.settings import IPNetwork


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies in front of the service: which networks they are in, or else how many there are.

    Only `X-Forwarded-For` is read, and only from its right end, where those proxies write.
    """

    networks: tuple[IPNetwork, ...]
    hops: int

    def client_address(self, peer: str, forwarded: Sequence[str]) -> str:
        """Return the address that the outermost trusted proxy was called from; for nonsense, the peer's."""
        path = [entry for line in forwarded for entry in line.split(",")]
        try:
            return self._past_networks(peer, path) if self.networks else self._past_hops(peer, path)
        except ValueError:
            return peer

    def _past_hops(self, peer: str, path: Sequence[str]) -> str:
        if not 0 < self.hops <= len(path):
            return peer
        return _address(path[-self.hops])

    def _past_networks(self, peer: str, path: Sequence[str]) -> str:
        address = peer
        for address in _with_the_nearest_first(peer, path):
            if not self._trusts(address):
                break
        return address

    def _trusts(self, address: str) -> bool:
        ip = ip_address(Client.at(address).address)
        return any(ip in network for network in self.networks)


def client_of(request: Request) -> Client:
    """Describe the client: its address, and the User-Agent it sent."""
    agent = request.headers.get("user-agent", "")
    # Header bytes that are not UTF-8 arrive as lone surrogates, and PostgreSQL takes no NUL.
    return Client.at(_address_of(request), agent.encode("utf-8", "replace").decode().replace("\0", ""))


def network_of(request: Request) -> str:
    """Return the network the limits count the client by."""
    return Client.at(_address_of(request)).network


def _address_of(request: Request) -> str:
    proxies: Proxies = request.app.ctx.proxies
    return proxies.client_address(request.ip, request.headers.getall("x-forwarded-for", []))


def _with_the_nearest_first(peer: str, path: Sequence[str]) -> Iterator[str]:
    yield peer
    for entry in reversed(path):
        yield _address(entry)


def _address(entry: str) -> str:
    """Read one hop, which some proxies write with a port. Raises ValueError for anything else."""
    text = entry.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return Client.at(text).address
