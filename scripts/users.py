"""Create and import users, look at them, rename them, set their passwords, shut them out and let them in."""

from collections.abc import Sequence
from typing import Annotated

import typer

from models import KnownNetwork, User
from scripts.import_users import import_users
from scripts.output import printable, table
from scripts.passwords import Generate, PasswordStdin, fact_shown_once, new_password, shown_once
from scripts.running import Json, Yes, confirm, operator, plural, report, with_use_cases
from scripts.texts import text
from scripts.times import at
from service.clock import rfc3339
from service.use_cases.list_users import UserPage
from service.use_cases.show_user import Shown

app = typer.Typer(no_args_is_help=True, help="Create, import, list, change, disable and delete users.")
app.command("import")(import_users)

UserName = Annotated[
    str, typer.Argument(metavar="USER", help="The user name.", show_default=False, callback=text)
]
NewName = Annotated[
    str | None, typer.Argument(metavar="NEW", help="The new user name.", show_default=False, callback=text)
]


@app.command()
def create(
    user: UserName,
    *,
    name: Annotated[str, typer.Option(help="The name to show; the user name by default.")] = "",
    password_stdin: PasswordStdin = False,
    generate: Generate = False,
    json: Json = False,
) -> None:
    """Create a user. The password is asked for, read from standard input, or made up.

    \b
    Examples:
      printf a-long-sentence | python -m scripts users create ada --password-stdin
      python -m scripts users create bea --name 'Bea Arthur' --generate
    """
    password = new_password(from_stdin=password_stdin, generate=generate)
    row = with_use_cases(lambda do: do.create_user(user, name or user, password, by=operator()))
    facts = {"id": row.id, "user": row.user, "name": row.name}
    report(
        shown_once(f"User {row.user} created.", password, generated=generate),
        facts | fact_shown_once(password, generated=generate),
        as_json=json,
    )


@app.command("list")
def list_users(
    *,
    active: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="Only those who may, or may not, sign in.")
    ] = None,
    page: Annotated[int, typer.Option(min=1, max=100_000, help="Which fifty of them.")] = 1,
    json: Json = False,
) -> None:
    """List the users by name, fifty a page.

    \b
    Examples:
      python -m scripts users list
      python -m scripts users list --disabled --json
    """
    found = with_use_cases(lambda do: do.list_users(page, active=active))
    facts = {
        "users": [_facts(row) for row in found.users],
        "page": page,
        "pages": found.last,
        "total": found.total,
    }
    report(_text(found), facts, as_json=json)


@app.command()
def show(user: UserName, *, json: Json = False) -> None:
    """Say how a user stands: sessions, last login, known networks, block.

    \b
    Examples:
      python -m scripts users show causas
      python -m scripts users show causas --json
    """
    found = with_use_cases(lambda do: do.show_user(user))
    report("\n".join(f"{name:20}{text}" for name, text in _lines(found)), _all_facts(found), as_json=json)


@app.command("set-password")
def set_password(
    user: UserName,
    *,
    password_stdin: PasswordStdin = False,
    generate: Generate = False,
    json: Json = False,
) -> None:
    """Set a user's password. Every session of hers ends, and a block.

    \b
    Examples:
      python -m scripts users set-password causas --generate
    """
    password = new_password(from_stdin=password_stdin, generate=generate)
    ended = with_use_cases(lambda do: do.set_password(user, password, by=operator()))
    report(
        shown_once(
            f"Password of {user} set; {plural(ended, 'session')} ended.", password, generated=generate
        ),
        {"sessions_ended": ended} | fact_shown_once(password, generated=generate),
        as_json=json,
    )


@app.command()
def rename(
    user: UserName,
    new: NewName = None,
    *,
    name: Annotated[str | None, typer.Option(help="The name to show.")] = None,
    json: Json = False,
) -> None:
    """Give a user another user name, or another name to show. Every session of hers ends.

    Her networks stay known. Failed attempts and a block stay with the old user name.

    \b
    Examples:
      python -m scripts users rename causas --name 'Causas Secundus'
    """
    if new is None and name is None:
        raise typer.BadParameter("Give a new user name, or --name, or both.")
    renamed = with_use_cases(lambda do: do.rename_user(user, new, name, by=operator()))
    names = renamed.names
    sentence = (
        f"User {user} is {names.user} ({names.name}) now; {plural(renamed.sessions_ended, 'session')} ended."
    )
    facts = {
        "user": names.user,
        "name": names.name,
        "changed": renamed.changed,
        "sessions_ended": renamed.sessions_ended,
    }
    report(sentence if renamed.changed else f"User {user} has these names already.", facts, as_json=json)


@app.command()
def disable(user: UserName, *, json: Json = False) -> None:
    """Shut a user out. Every session of hers ends.

    \b
    Examples:
      python -m scripts users disable causas
    """
    ended = with_use_cases(lambda do: do.disable_user(user, by=operator()))
    report(
        f"User {user} disabled; {plural(ended, 'session')} ended.", {"sessions_ended": ended}, as_json=json
    )


@app.command()
def enable(user: UserName, *, json: Json = False) -> None:
    """Let a user in again. Her old sessions stay dead.

    \b
    Examples:
      python -m scripts users enable causas
    """
    changed = with_use_cases(lambda do: do.enable_user(user, by=operator()))
    report(
        f"User {user} {'enabled' if changed else 'was enabled already'}.", {"changed": changed}, as_json=json
    )


@app.command()
def delete(user: UserName, *, yes: Yes = False, json: Json = False) -> None:
    """Delete a user for good. Every session of hers ends, her names are gone, and her user name is free.

    \b
    Examples:
      python -m scripts users create zoe --generate
      python -m scripts users delete zoe --yes
    """
    if not yes:
        confirm(f"This deletes {user} for good.")
    ended = with_use_cases(lambda do: do.delete_user(user, by=operator()))
    report(f"User {user} deleted; {plural(ended, 'session')} ended.", {"sessions_ended": ended}, as_json=json)


def _text(page: UserPage) -> str:
    summary = f"{plural(page.total, 'user')}; page {page.number} of {page.last}."
    rows = [_row(row) for row in page.users]
    return f"{table(('id', 'user', 'name', 'since', 'may sign in'), rows)}\n{summary}" if rows else summary


def _row(row: User) -> Sequence[str]:
    return str(row.id), row.user, row.name, f"{row.created_at:%Y-%m-%d}", "yes" if row.active else "no"


def _lines(shown: Shown) -> Sequence[tuple[str, str]]:
    user, networks = shown.user, shown.known_networks
    known = [("known networks" if number == 0 else "", _network(row)) for number, row in enumerate(networks)]
    return [
        ("id", str(user.id)),
        ("user", printable(user.user)),
        ("name", printable(user.name)),
        ("may sign in", "yes" if user.active else "no, disabled"),
        ("since", at(user.created_at)),
        ("sessions", str(shown.sessions)),
        ("last login", at(shown.last_login_at) if shown.last_login_at else "not known"),
        ("failures in a row", str(shown.failures)),
        ("block", f"until {at(shown.blocked_until)}" if shown.blocked_until else "none"),
        *(known or [("known networks", "none")]),
    ]


def _network(row: KnownNetwork) -> str:
    return f"{row.network} (last login {at(row.last_login_at)})"


def _facts(row: User) -> dict[str, object]:
    return {
        "id": row.id,
        "user": row.user,
        "name": row.name,
        "active": row.active,
        "created_at": rfc3339(row.created_at),
    }


def _all_facts(shown: Shown) -> dict[str, object]:
    last_login, blocked_until = shown.last_login_at, shown.blocked_until
    return _facts(shown.user) | {
        "sessions": shown.sessions,
        "last_login_at": last_login and rfc3339(last_login),
        "failures_in_a_row": shown.failures,
        "blocked_until": blocked_until and rfc3339(blocked_until),
        "known_networks": [row.network for row in shown.known_networks],
    }
