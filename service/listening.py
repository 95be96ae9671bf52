"""The one socket on which all workers accept: how it is bound, and how nobody is dropped as it goes."""

import os
import socket
from contextlib import suppress

from service.settings import SettingsError

_BACKLOG = 1024
# From Linux' asm-generic/socket.h, as Python has no name for it.
_SO_BINDTOIFINDEX = 62
_NO_INTERFACE = 2**31 - 1


class CannotListen(Exception):
    """The address cannot be had; the text is one sentence."""


def listen(host: str, port: int) -> socket.socket:
    """Bind one socket, shared by all workers; an empty host is every address, IPv6 and IPv4 alike.

    Raises SettingsError for a host that does not exist, CannotListen for an address that cannot be had now.
    """
    try:
        if host == "" and socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
            )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        where = f"{host or 'every address'}, port {port}"
        raise CannotListen(f"Cannot listen on {where}: {_reason(host, error)}. Set PORT or HOST.") from error


def _reason(host: str, error: OSError) -> str:
    """Say it in the system's words, or raise SettingsError where no later start will fare better."""
    # `create_server` adds words of its own to those of the resolver, whose numbers are no errno.
    resolver = error.__context__
    if not isinstance(resolver, socket.gaierror):
        return os.strerror(error.errno or 0)
    if resolver.errno != socket.EAI_AGAIN:
        raise SettingsError(
            f"HOST {host!r} is unknown ({resolver.strerror}): name an address of this machine."
        ) from error
    return resolver.strerror or "the name cannot be resolved now"


def turn_away(listening: socket.socket) -> None:
    """Have new connections refused in every process, and leave to the others what waits to be accepted.

    Whoever is the last to close a listening socket resets what has connected since it last accepted. One
    bound to an interface that does not exist is found by no new connection, and still gives out the old.
    """
    # Before Linux 5.7, and elsewhere, that is not allowed or not known: a gap of microseconds is left.
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, _NO_INTERFACE)
    listening.close()


def take_all_and_leave(listening: socket.socket) -> list[socket.socket]:
    """Accept all that waits, and let go of the socket in the same breath."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as nobodys:
        nobodys.setblocking(False)
        try:
            while True:
                taken.append(listening.accept()[0])
        except OSError:
            # Not closed: the loop still watches that number. It gets a socket that nobody knows of.
            os.dup2(nobodys.fileno(), listening.fileno(), inheritable=False)
    return taken
