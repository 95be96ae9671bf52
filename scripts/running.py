"""Run one use case from the command line: find the stores, call it, close them."""

import asyncio
import json
import os
import pwd
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Annotated, TypeVar

import typer

from scripts.output import say
from service import wiring
from service.errors import CannotBeDone
from service.settings import Settings
from service.telemetry import logs
from service.wiring import UseCases

T = TypeVar("T")

_OPERATOR_MAX_LENGTH = 100  # as wide as the columns
_BESIDE = (("for", "SUDO_USER"), ("in", "DYNO"), ("from", "SSH_CONNECTION"))

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a line for people.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]


# As a shell has it.
INTERRUPTED = 128 + signal.SIGINT


def with_use_cases(work: Callable[[UseCases], Awaitable[T]]) -> T:
    """Do the work on the stores of a running service, or on the same stores without one."""
    settings = Settings.from_env()
    logs.configure_for_a_command(settings)

    async def run() -> T:
        async with wiring.open_use_cases(settings) as use_cases:
            return await work(use_cases)

    # After Ctrl-C, a transaction that has begun goes on to its end before the stores are closed.
    with wiring.embedded_parts(settings):
        return asyncio.run(run())


@contextmanager
def interruptible() -> Iterator[asyncio.Event]:
    """Note Ctrl-C and SIGTERM instead of breaking off, for work in steps: what is yielded is set by them."""
    loop, came = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, came.set)
    try:
        yield came
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def every(seconds: float) -> AsyncIterator[None]:
    """Yield whenever so much time has passed, until Ctrl-C or SIGTERM quietly ends the command."""
    with interruptible() as interrupted:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(interrupted.wait(), seconds)
            if interrupted.is_set():
                raise typer.Exit(INTERRUPTED)
            yield


def confirm(question: str) -> None:
    """Have an operator say yes, or raise CannotBeDone for no, BadParameter where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} There is no terminal to ask on: say --yes.")
    # In the middle of asynchronous work Ctrl-C would be heard only after the answer.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if not typer.confirm(question, err=True):
            raise CannotBeDone("Nothing was changed.")
    finally:
        signal.signal(signal.SIGINT, before)


def operator() -> str:
    """Name who runs the command and from where, for the record.

    The account is the system's, not what an environment variable says; sudo, a platform's one-off process
    (`heroku run`) and ssh are named beside it, as far as they say so.
    """
    beside = [f"{word} {os.environ[name].split()[0]}" for word, name in _BESIDE if os.environ.get(name)]
    return " ".join([f"{_account()}@{socket.gethostname()}", *beside])[:_OPERATOR_MAX_LENGTH]


def _account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # containers run as numbers
        return f"uid {os.getuid()}"


def report(sentence: str, facts: Mapping[str, object], *, as_json: bool) -> None:
    say(json.dumps(facts) if as_json else sentence)


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
