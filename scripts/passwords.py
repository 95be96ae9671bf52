"""Get a new password: from a prompt, from standard input, or from the dice; never from an argument."""

import secrets
import sys
from typing import Annotated

import typer

from scripts.texts import line_of_stdin, text

_RANDOM_BYTES = 15  # 120 bits, in 20 characters

PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password up, and print it this once.")]


def new_password(*, from_stdin: bool, generate: bool) -> str:
    """An argument could be seen by every process of the machine, and would stay in the shell's history."""
    if from_stdin and generate:
        raise typer.BadParameter("Take --password-stdin or --generate, not both.")
    if generate:
        return secrets.token_urlsafe(_RANDOM_BYTES)
    if from_stdin:
        return line_of_stdin()
    if not sys.stdin.isatty():
        raise typer.BadParameter("There is no terminal to ask on: use --password-stdin or --generate.")
    return text(str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)))


def shown_once(sentence: str, password: str, *, generated: bool) -> str:
    return f"{sentence}\nPassword: {password}" if generated else sentence


def fact_shown_once(password: str, *, generated: bool) -> dict[str, object]:
    return {"password": password} if generated else {}
