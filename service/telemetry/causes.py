"""Quote what a library said of a store that fails."""

from textwrap import shorten

from redis.exceptions import RedisError

_LONGEST = 120


def cause_of(error: BaseException | None) -> str:
    """Give the name of the error and its words, as the log has them."""
    # redis-py's own representation keeps the words back.
    return f"{type(error).__name__}({words_of(error)!r})" if isinstance(error, RedisError) else repr(error)


def words_of(error: BaseException) -> str:
    """Give the words alone, on one line; the name of an error that has none."""
    # A server that does not know HELLO repeats what came with it: the password.
    words, _, _ = str(error).partition("\n")[0].partition(", with args")
    return shorten(words, _LONGEST, placeholder=" …").rstrip(".") or type(error).__name__
