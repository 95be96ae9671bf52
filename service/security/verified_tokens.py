"""Remember what the tokens say whose signature was found good."""

from service.security.claims import Claims

# Some 10 MB at most, in two generations.
_SIZE = 10_000


class VerifiedTokens:
    """The claims of whole tokens, as they were sent: a token that differs in one bit is another one.

    A signature that was good stays good, so this may forget and need not expire. Whether the token is good
    *now* is for the caller to check, every time. It is as old as the keys that verified: other keys, another
    one of these.
    """

    def __init__(self, size: int = _SIZE) -> None:
        self._generation = max(1, size // 2)
        self._young: dict[str, Claims] = {}
        self._old: dict[str, Claims] = {}

    def get(self, token: str) -> Claims | None:
        claims = self._young.get(token)
        if claims is None and (claims := self._old.get(token)) is not None:
            self.put(token, claims)
        return claims

    def put(self, token: str, claims: Claims) -> None:
        """Keep the claims; of those not asked for since half the size was put, the oldest are dropped."""
        # A whole generation at once: taking single ones out of the front of a dict slows down as it goes.
        if len(self._young) >= self._generation:
            self._old, self._young = self._young, {}
        self._young[token] = claims
