"""Run one use case from the command line: find the stores, call it, close them."""

import asyncio
import getpass
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, TypeVar

import typer

from service import wiring
from service.settings import Settings
from service.wiring import UseCases

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a line for people.")]


def with_use_cases(work: Callable[[UseCases], Awaitable[T]]) -> T:
    """Do the work on the stores of a running service, or on the same stores without one."""
    settings = Settings.from_env()

    async def run() -> T:
        async with wiring.open_use_cases(settings) as use_cases:
            return await work(use_cases)

    with wiring.embedded_parts(settings):
        return asyncio.run(run())


def operator() -> str:
    """Name who runs the command, for the record."""
    return f"{getpass.getuser()}@{socket.gethostname()}"[:100]


def report(sentence: str, facts: Mapping[str, object], *, as_json: bool) -> None:
    print(json.dumps(facts) if as_json else sentence)


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
