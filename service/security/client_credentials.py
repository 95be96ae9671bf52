"""Know other services by the ids and secrets that were set for them."""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import unquote_to_bytes

from service.errors import ClientRefused


class ClientCredentials:
    """Pairs `id:secret`; one id may have several, so that a secret can be changed without a gap."""

    def __init__(self, pairs: Iterable[str]) -> None:
        self._known = [(pair.partition(":")[0], _digest(pair.encode())) for pair in pairs]

    def verify(self, sent: bytes) -> str:
        """Return the id of the client whose `id:secret` was sent, or raise ClientRefused.

        Id and secret are compared as one, and with every pair: no answer and no time tells which ids exist.
        They may be form-urlencoded (RFC 6749 section 2.3.1) or as they are, which is what most clients send.
        """
        spellings = {_digest(sent), _digest(unquote_to_bytes(sent.replace(b"+", b" ")))}
        found = [name for name, known in self._known for digest in spellings if _same(known, digest)]
        if not found:
            raise ClientRefused
        return found[0]


def _same(known: bytes, digest: bytes) -> bool:
    return hmac.compare_digest(known, digest)


def _digest(pair: bytes) -> bytes:
    return sha256(pair).digest()
