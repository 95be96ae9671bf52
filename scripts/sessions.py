"""See who is signed in."""

from typing import Annotated

import typer

from models import Session
from scripts.output import table
from scripts.running import Json, plural, report, with_use_cases
from scripts.selectors import (
    Agent,
    IdleFor,
    InNetwork,
    IssuedAfter,
    IssuedBefore,
    Jti,
    Selectors,
    TokenStdin,
    Users,
)
from service.clock import rfc3339
from service.use_cases.list_sessions import Page
from service.wiring import UseCases

app = typer.Typer(no_args_is_help=True, help="See who is signed in.")


@app.callback()
def _group() -> None:
    """Keep `list` a command of a group, though it is the only one."""


@app.command("list")
def list_sessions(
    *,
    user: Users = None,
    jti: Jti = None,
    token_stdin: TokenStdin = False,
    network: InNetwork = None,
    agent: Agent = None,
    issued_before: IssuedBefore = None,
    issued_after: IssuedAfter = None,
    idle_for: IdleFor = None,
    page: Annotated[int, typer.Option(min=1, max=1000, help="Which fifty of them.")] = 1,
    json: Json = False,
) -> None:
    """List the sessions that are alive, newest first, fifty a page. Of several options all must hold.

    \b
    Examples:
      python -m scripts sessions list
      python -m scripts sessions list --user causas --json
      python -m scripts sessions list --network 2001:db8::/48 --idle-for 90m
      python -m scripts sessions list --agent 'curl*' --issued-after 2h --page 2
    """
    selectors = Selectors(user, jti, token_stdin, network, agent, issued_before, issued_after, idle_for)
    selectors.check()

    async def work(do: UseCases) -> Page:
        return await do.choose_sessions.page(await selectors.selection(do), page)

    found = with_use_cases(work)
    facts = {
        "sessions": [_facts(row) for row in found.sessions],
        "page": page,
        "pages": found.last,
        "total": found.total,
    }
    report(_text(found), facts, as_json=json)


def _text(page: Page) -> str:
    summary = f"{plural(page.total, 'session')}; page {page.number} of {page.last}."
    headings = ("session", "user", "since", "until", "address", "agent")
    return f"{table(headings, [_row(row) for row in page.sessions])}\n{summary}" if page.sessions else summary


def _row(row: Session) -> tuple[str, ...]:
    since, until = (f"{at:%m-%d %H:%M}" for at in (row.started_at, row.expires_at))
    return row.id[:8], row.user.user, since, until, row.ip, row.agent


def _facts(row: Session) -> dict[str, object]:
    return {
        "id": row.id,
        "user": row.user.user,
        "started_at": rfc3339(row.started_at),
        "expires_at": rfc3339(row.expires_at),
        "last_seen_at": rfc3339(row.last_seen_at),
        "ip": row.ip,
        "user_agent": row.agent,
    }
