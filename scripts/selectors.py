"""The options that choose sessions: all of those that are given must hold."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

import typer

from scripts.texts import line_of_stdin, text
from scripts.times import ago, read_time
from service.use_cases.choose_sessions import Selection, agent_pattern
from service.wiring import UseCases

_MAPPED = IPv6Network("::ffff:0:0/96")

Users = Annotated[
    list[str] | None, typer.Option("--user", help="Of this user; may be given several times.", callback=text)
]
Jti = Annotated[str | None, typer.Option("--jti", help="The session of the token with this id.")]
TokenStdin = Annotated[
    bool, typer.Option("--token-stdin", help="The session of the token on standard input.")
]
InNetwork = Annotated[
    str | None,
    typer.Option("--network", metavar="CIDR", help="Opened from this address or network: 203.0.113.0/24."),
]
Agent = Annotated[
    str | None,
    typer.Option(
        "--agent", help="With this in the User-Agent; with * and ?, the whole of it. Case is nothing."
    ),
]
IssuedBefore = Annotated[
    str | None,
    typer.Option("--issued-before", metavar="TIME", help="Opened before: 2026-11-24T03:00Z, or 2h (ago)."),
]
IssuedAfter = Annotated[
    str | None, typer.Option("--issued-after", metavar="TIME", help="Opened after: likewise.")
]
IdleFor = Annotated[
    str | None, typer.Option("--idle-for", metavar="SPAN", help="Not used for so long: 90m, 12h, 30d.")
]


@dataclass(frozen=True, slots=True)
class Selectors:
    """What was given on the command line."""

    users: Sequence[str] | None
    jti: str | None
    token_stdin: bool
    network: str | None
    agent: str | None
    issued_before: str | None
    issued_after: str | None
    idle_for: str | None

    @property
    def given(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def check(self) -> None:
        """Raise BadParameter for what cannot be read, before any store is opened."""
        if self.jti is not None and self.token_stdin:
            raise typer.BadParameter("Give --jti or --token-stdin, not both: each names one session.")
        self._by_time_and_place()

    async def selection(self, do: UseCases) -> Selection:
        """Look up whom and what they name; raise CannotBeDone where there is no such user or token."""
        return replace(
            self._by_time_and_place(), user_ids=await self._user_ids(do), sids=await self._sids(do)
        )

    def _by_time_and_place(self) -> Selection:
        return Selection(
            network=None if self.network is None else _network(self.network),
            agent=None if self.agent is None else _agent(self.agent),
            issued_before=read_time(self.issued_before, "--issued-before"),
            issued_after=read_time(self.issued_after, "--issued-after"),
            seen_before=ago(self.idle_for, "--idle-for"),
        )

    async def _user_ids(self, do: UseCases) -> frozenset[int] | None:
        if self.users is None:
            return None
        return frozenset([(await do.find_user(user)).id for user in self.users])

    async def _sids(self, do: UseCases) -> frozenset[str] | None:
        if self.jti is not None:
            return frozenset([await do.find_session.of_jti(self.jti)])
        if self.token_stdin:
            return frozenset([do.find_session.of_token(line_of_stdin().strip())])
        return None


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"--network: {text!r} is no address and no network such as 203.0.113.0/24 or 2001:db8::/48."
        ) from error
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        # Sessions are opened from IPv4 addresses, however a proxy writes them.
        mapped = network.network_address.ipv4_mapped
        return ipaddress.ip_network(f"{mapped}/{network.prefixlen - _MAPPED.prefixlen}")
    return network


def _agent(text: str) -> re.Pattern[str]:
    if not text:
        raise typer.BadParameter("--agent: every User-Agent holds an empty text; name some of it.")
    return agent_pattern(text)
