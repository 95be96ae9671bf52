"""Create users, set their passwords, let them in and shut them out."""

import sys
from typing import Annotated

import typer

from scripts.running import Json, operator, plural, report, with_use_cases

app = typer.Typer(no_args_is_help=True, help="Create users, set passwords, enable and disable.")

User = Annotated[str, typer.Argument(help="The user name.", show_default=False)]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@app.command()
def create(
    user: User,
    *,
    name: Annotated[str, typer.Option(help="The name to show; the user name by default.")] = "",
    password_stdin: FromStdin = False,
    json: Json = False,
) -> None:
    """Create a user. The password is asked for, or read from standard input."""
    password = _password(from_stdin=password_stdin)
    row = with_use_cases(lambda do: do.manage_users.create(user, name or user, password, by=operator()))
    report(f"User {row.user} created.", {"id": row.id, "user": row.user, "name": row.name}, as_json=json)


@app.command("set-password")
def set_password(user: User, *, password_stdin: FromStdin = False, json: Json = False) -> None:
    """Set a user's password. Every session of hers ends."""
    password = _password(from_stdin=password_stdin)
    ended = with_use_cases(lambda do: do.manage_users.set_password(user, password, by=operator()))
    report(
        f"Password of {user} set; {plural(ended, 'session')} ended.", {"sessions_ended": ended}, as_json=json
    )


@app.command()
def disable(user: User, *, json: Json = False) -> None:
    """Shut a user out. Every session of hers ends."""
    ended = with_use_cases(lambda do: do.manage_users.disable(user, by=operator()))
    report(
        f"User {user} disabled; {plural(ended, 'session')} ended.", {"sessions_ended": ended}, as_json=json
    )


@app.command()
def enable(user: User, *, json: Json = False) -> None:
    """Let a user in again. Her old sessions stay dead."""
    changed = with_use_cases(lambda do: do.manage_users.enable(user, by=operator()))
    report(
        f"User {user} {'enabled' if changed else 'was enabled already'}.", {"changed": changed}, as_json=json
    )


def _password(*, from_stdin: bool) -> str:
    """Read a password: never from an argument, which every process of the machine could see."""
    if from_stdin:
        return sys.stdin.readline().removesuffix("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
