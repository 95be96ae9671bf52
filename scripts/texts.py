"""Take nothing but text: bytes that are not UTF-8 are no name, no password and no token."""

import sys
from collections.abc import Iterable
from typing import TypeVar

import typer

T = TypeVar("T", bound=Iterable[str] | None)


def text(given: T) -> T:
    """Let an argument through, or all that one option was given; raise BadParameter for bytes.

    They arrive as halves of surrogate pairs, which no database takes and no hash.
    """
    letters = "" if given is None else "".join(given)
    if any("\ud800" <= letter <= "\udfff" for letter in letters):
        raise typer.BadParameter("It is not UTF-8.")
    return given


def line_of_stdin() -> str:
    """Read a line as UTF-8, which a login is as well, whatever the locale; raise BadParameter for bytes."""
    try:
        return sys.stdin.buffer.readline().decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise typer.BadParameter("What is on standard input is not UTF-8.") from error
