"""What a library said of a store is quoted on one line, and without the password."""

import pytest
from redis.exceptions import AuthenticationError, ResponseError

from service.telemetry.causes import cause_of, words_of


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connect call failed"), "[Errno 111] Connect call failed"),
        (AuthenticationError("invalid username-password pair."), "invalid username-password pair"),
        (OSError("first line\nsecond line"), "first line"),
        (TimeoutError(), "TimeoutError"),
        (OSError(" ".join(["word"] * 30)), " ".join(["word"] * 23) + " …"),
    ],
)
def test_words_are_quoted_on_one_line(error: Exception, words: str) -> None:
    assert words_of(error) == words


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, "None"),
        (TimeoutError(), "TimeoutError()"),
        (OSError("no route"), "OSError('no route')"),
        (ResponseError("DB index is out of range"), "ResponseError('DB index is out of range')"),
    ],
)
def test_the_log_has_the_name_and_the_words(error: Exception | None, said: str) -> None:
    assert cause_of(error) == said


def test_a_server_that_repeats_the_password_is_not_quoted_with_it() -> None:
    error = ResponseError("unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `x`, `hunter2`, ")

    assert cause_of(error) == "ResponseError('unknown command `HELLO`')"
