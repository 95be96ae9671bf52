"""Every reason to refuse a request: its status, its public sentence, its headers."""

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from service.clock import whole_seconds


class Budget(msgspec.Struct, frozen=True):
    """What a rate limit has left for the one who asks, and how long until it is untouched again."""

    policy: str
    limit: int
    window: timedelta
    remaining: int
    reset: timedelta


class Refusal(Exception):
    """A request ends here, for a reason that the client may know."""

    status = 500
    message = "Server Error"
    budget: Budget | None = None  # of the limit that the refused request was charged to

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)

    @property
    def headers(self) -> dict[str, str]:
        return {}

    @property
    def body(self) -> dict[str, object]:
        return {"message": str(self)}


class CannotBeDone(Exception):
    """What an operator asked for cannot be done; the text is one sentence."""


class BadJson(Refusal):
    status = 400
    message = "The body is not valid JSON."


class UnsupportedMediaType(Refusal):
    status = 415
    message = "Send the body as application/json."


class Invalid(Refusal):
    """The body can be read, but some fields cannot be accepted."""

    status = 422

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        sentences = [sentence for field in errors.values() for sentence in field]
        more = len(sentences) - 1
        tail = "" if more == 0 else f" (and {more} more error{'s' if more > 1 else ''})"
        super().__init__(sentences[0] + tail)
        self.errors = dict(errors)

    @property
    def body(self) -> dict[str, object]:
        return {"message": str(self), "errors": self.errors}


class Unauthenticated(Refusal):
    """No token, or one that is not good (any more)."""

    status = 401
    message = "Unauthenticated."

    def __init__(self, *, token_sent: bool = True) -> None:
        super().__init__()
        self.token_sent = token_sent

    @property
    def headers(self) -> dict[str, str]:
        # An error code only where a token was sent (RFC 6750 section 3.1).
        error = ', error="invalid_token"' if self.token_sent else ""
        return {"WWW-Authenticate": f'Bearer realm="backoffice"{error}'}


class ClientRefused(Unauthenticated):
    """No client credentials, or none that were set: one answer for all of them."""

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Basic realm="backoffice"'}


class CredentialsRefused(Refusal):
    """Unknown, wrong, disabled, badly hashed: one answer for all of them."""

    status = 401
    message = "These credentials do not match our records."

    def __init__(self, budget: Budget | None) -> None:
        super().__init__()
        self.budget = budget

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="backoffice"'}


class NotFound(Refusal):
    status = 404

    def __init__(self, path: str) -> None:
        super().__init__(f"The route {path} could not be found.")


class Later(Refusal):
    """Refused for now: `Retry-After` says when to come back."""

    def __init__(self, retry_after: timedelta, message: str | None = None) -> None:
        super().__init__(message)
        self.seconds = whole_seconds(retry_after)

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.seconds)}


class TooManyAttempts(Later):
    """The login limit is spent; whether the password was right was not looked at."""

    status = 429

    def __init__(self, budget: Budget | None, retry_after: timedelta) -> None:
        sentence = f"Too many login attempts. Please try again in {whole_seconds(retry_after)} seconds."
        super().__init__(retry_after, sentence)
        self.budget = budget

    @property
    def body(self) -> dict[str, object]:
        return {"message": str(self), "errors": {"user": [str(self)]}}


class TooManyRequests(Later):
    """The rate limit of a session or a network is spent."""

    status = 429
    message = "Too Many Attempts."

    def __init__(self, budget: Budget, retry_after: timedelta) -> None:
        super().__init__(retry_after)
        self.budget = budget


class ServiceUnavailable(Later):
    status = 503
    message = "Service Unavailable"

    def __init__(self, *, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(retry_after)


class RedisUnavailable(ServiceUnavailable):
    """Redis did not answer in time, or not with what was asked for."""


class DatabaseUnavailable(ServiceUnavailable):
    """The database did not answer in time, or not with what was asked for."""


class DatabaseRefused(DatabaseUnavailable):
    """The database answered that it cannot do this: locked, full, read-only, a table is missing.

    To a client it is as good as absent. An operator hears its words, which hold no value.
    """

    def __init__(self, words: str, *, pending: bool) -> None:
        super().__init__()
        self.words = words
        self.pending = pending  # what is missing, a migration would bring


class Overloaded(ServiceUnavailable):
    """More passwords wait for their hash than could be hashed within the login deadline."""
