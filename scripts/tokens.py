"""Revoke tokens."""

import sys
from typing import Annotated

import typer

from scripts.running import Json, operator, plural, report, with_use_cases
from service.wiring import UseCases

app = typer.Typer(no_args_is_help=True, help="Revoke tokens.")


@app.callback()
def _group() -> None:
    """Keep `revoke` a command of a group, though it is the only one."""


@app.command()
def revoke(
    *,
    jti: Annotated[str | None, typer.Option(help="The id of a token; its whole session ends.")] = None,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read a token from standard input.")
    ] = False,
    user: Annotated[str | None, typer.Option(help="A user name; every session of hers ends.")] = None,
    json: Json = False,
) -> None:
    """End the session of a token, or all of a user. It counts on the very next request."""
    if (jti is not None) + token_stdin + (user is not None) != 1:
        raise typer.BadParameter("Name exactly one of --jti, --token-stdin and --user.")
    token = sys.stdin.readline().strip() if token_stdin else ""

    async def work(do: UseCases) -> int:
        if user is not None:
            return await do.revoke.user(user, by=operator())
        if jti is not None:
            return await do.revoke.jti(jti, by=operator())
        return await do.revoke.token(token, by=operator())

    ended = with_use_cases(work)
    sentence = f"{plural(ended, 'session')} revoked." if ended else "Nothing to revoke: no session was alive."
    report(sentence, {"sessions_revoked": ended}, as_json=json)
