"""See who is signed in."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models import Session
from scripts.running import Json, plural, report, with_use_cases
from service.use_cases.list_sessions import Page
from service.wiring import UseCases

app = typer.Typer(no_args_is_help=True, help="See who is signed in.")


@app.callback()
def _group() -> None:
    """Keep `list` a command of a group, though it is the only one."""


@app.command("list")
def list_sessions(
    *,
    user: Annotated[str | None, typer.Option(help="Only the sessions of this user.")] = None,
    page: Annotated[int, typer.Option(min=1, help="Which fifty of them.")] = 1,
    json: Json = False,
) -> None:
    """List the sessions that are alive, newest first, fifty a page."""

    async def work(do: UseCases) -> Page:
        user_id = None if user is None else (await do.manage_users.find(user)).id
        return await do.list_sessions(page, user_id=user_id)

    found = with_use_cases(work)
    facts = {
        "sessions": [_facts(row) for row in found.sessions],
        "page": page,
        "pages": found.last,
        "total": found.total,
    }
    if not json:
        _print_table(found)
    sentence = f"{plural(found.total, 'session')}; page {page} of {found.last}."
    report(sentence, facts, as_json=json)


def _facts(row: Session) -> dict[str, object]:
    return {
        "id": row.id,
        "user": row.user.user,
        "started_at": row.started_at.isoformat(timespec="seconds"),
        "expires_at": row.expires_at.isoformat(timespec="seconds"),
        "ip": row.ip,
        "user_agent": row.agent,
    }


def _print_table(page: Page) -> None:
    table = Table("session", "user", "since", "until", "address", "agent", box=None)
    for row in page.sessions:
        since, until = (f"{at:%Y-%m-%d %H:%M}" for at in (row.started_at, row.expires_at))
        table.add_row(row.id[:8], row.user.user, since, until, row.ip, row.agent[:30])
    Console().print(table)
