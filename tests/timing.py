"""What a test says of time, so that a machine which stood still for a moment does not fail it.

What came too late is tried again, twice at most (pytest-rerunfailures, `--only-rerun`): the best of three
counts. So is what raises one of Python's own time-outs. What is wrong is never tried again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

_PAUSE_SECONDS = 0.02


class TooLate(AssertionError):
    """Right as far as anybody knows, but not in time."""


def assert_within(seconds: float, took: float, told: object = "") -> None:
    """Raise TooLate for what took longer than so many seconds, with what more there is to tell."""
    if took > seconds:
        message = f"it took {took:.3f} s, and {seconds:.3f} s are allowed; {told}".rstrip("; ")
        raise TooLate(message)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TooLate if the block takes longer than so many seconds; it is not broken off."""
    begun = time.monotonic()
    yield
    assert_within(seconds, time.monotonic() - begun)


def happens(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until the condition holds; return whether it did in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def seconds_until(condition: Callable[[], bool], at_most: float) -> float:
    """Wait until the condition holds, at most so many seconds; return how long it took."""
    begun = time.monotonic()
    happens(condition, at_most)
    return time.monotonic() - begun


def wait_until(condition: Callable[[], bool], seconds: float, told: Callable[[], object] = str) -> None:
    """Wait until the condition holds; raise TooLate if it does not in time, with what there is to tell."""
    if not happens(condition, seconds):
        message = f"it has not happened in {seconds:.3f} s; {told()}".rstrip("; ")
        raise TooLate(message)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 5) -> None:
    """Wait until the condition holds; raise TooLate if it does not in time. The loop turns meanwhile."""
    end = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > end:
            message = f"it has not happened in {seconds:.3f} s"
            raise TooLate(message)
        await asyncio.sleep(_PAUSE_SECONDS)
