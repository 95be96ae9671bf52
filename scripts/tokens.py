"""Revoke tokens."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from scripts.output import progress, table
from scripts.running import (
    INTERRUPTED,
    Json,
    Yes,
    confirm,
    interruptible,
    operator,
    plural,
    report,
    with_use_cases,
)
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
from service.use_cases.choose_sessions import Found, Overview, Selection
from service.use_cases.revoke import Receipt
from service.wiring import UseCases

app = typer.Typer(no_args_is_help=True, help="Revoke tokens.")

_SAMPLE = 5


@app.callback()
def _group() -> None:
    """Keep `revoke` a command of a group, though it is the only one."""


@app.command()
def revoke(
    *,
    user: Users = None,
    jti: Jti = None,
    token_stdin: TokenStdin = False,
    network: InNetwork = None,
    agent: Agent = None,
    issued_before: IssuedBefore = None,
    issued_after: IssuedAfter = None,
    idle_for: IdleFor = None,
    everybody: Annotated[bool, typer.Option("--all", help="Every session there is.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would end, and end nothing.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """End all sessions that the options choose, and so every token of theirs. It counts on the next request.

    Options combine: a session ends if all of them hold. With --user and
    nothing else, logins of hers in the making are refused as well, and no
    network is known to be hers any more.

    \b
    Examples:
      python -m scripts tokens revoke --user causas
      python -m scripts tokens revoke --network 203.0.113.0/24 --dry-run
      python -m scripts tokens revoke --agent 'curl*' --issued-after 2h --yes
      python -m scripts tokens revoke --idle-for 30d --yes --json
      python -m scripts tokens revoke --all --yes
    """
    selectors = Selectors(user, jti, token_stdin, network, agent, issued_before, issued_after, idle_for)
    if selectors.given == everybody:
        raise typer.BadParameter("Choose sessions by --user, --network and so on, or take --all of them.")
    selectors.check()

    async def work(do: UseCases) -> tuple[Overview, Receipt | None]:
        selection = await selectors.selection(do)
        found = await do.choose_sessions.overview(selection, keep=_SAMPLE)
        if dry_run:
            return found, None
        if not yes and (everybody or found.users > 1):
            confirm(f"This revokes {_sessions(found.sessions, found.users)}.")
        return found, await _revoke(do, selection, found.sessions)

    found, receipt = with_use_cases(work)
    if receipt is None:
        report(_would(found), _facts_of_would(found), as_json=json)
    elif receipt.stopped_by is None:
        report(_done(receipt), _facts(found, receipt), as_json=json)
    else:
        if json:
            report("", _facts(found, receipt), as_json=True)
        else:
            print(_broken_off(found, receipt), file=sys.stderr)
        raise typer.Exit(INTERRUPTED if receipt.stopped_by == "interrupt" else 1)


async def _revoke(do: UseCases, selection: Selection, expected: int) -> Receipt:
    with interruptible() as interrupted, progress("Revoking", expected) as told:

        def proceed(ended: int) -> bool:
            told(ended)
            return not interrupted.is_set()

        return await do.revoke(selection, by=operator(), proceed=proceed)


def _would(found: Overview) -> str:
    sentence = f"{_sessions(found.sessions, found.users)} would be revoked."
    if not found.newest:
        return sentence
    sample = table(("newest", "since", "address", "agent"), [_row(session) for session in found.newest])
    return f"{sentence}\n\n{sample}"


def _row(session: Found) -> Sequence[str]:
    return session.id[:8], f"{session.started_at:%Y-%m-%d %H:%M}", session.ip, session.agent


def _done(receipt: Receipt) -> str:
    if not receipt.sessions:
        return "Nothing to revoke: no session was alive."
    return f"{_sessions(receipt.sessions, receipt.users)} revoked; {_everywhere(receipt)}."


def _everywhere(receipt: Receipt) -> str:
    if receipt.confirmed:
        return f"effective everywhere ({receipt.seconds:.1f} s, confirmed by Redis)"
    return f"effective everywhere (waited {receipt.waited_seconds:.1f} s; Redis will be told when it is back)"


def _broken_off(found: Overview, receipt: Receipt) -> str:
    why = "Interrupted" if receipt.stopped_by == "interrupt" else "The database is not available any more"
    return (
        f"{why}: of {_sessions(found.sessions, found.users)}, {receipt.sessions:,} are revoked and"
        f" {_everywhere(receipt)}; run it again for the rest."
    )


def _sessions(sessions: int, users: int) -> str:
    return f"{plural(sessions, 'session')} of {plural(users, 'user')}"


def _facts(found: Overview, receipt: Receipt) -> dict[str, object]:
    return {
        "dry_run": False,
        "sessions_found": found.sessions,
        "sessions_revoked": receipt.sessions,
        "users": receipt.users,
        "complete": receipt.stopped_by is None,
        "stopped_by": receipt.stopped_by,
        "confirmed_by": "redis" if receipt.confirmed else "time",
        "seconds": round(receipt.seconds, 3),
    }


def _facts_of_would(found: Overview) -> dict[str, object]:
    return {
        "dry_run": True,
        "sessions_found": found.sessions,
        "users": found.users,
        "newest": [_session(session) for session in found.newest],
    }


def _session(session: Found) -> dict[str, object]:
    return {
        "id": session.id,
        "started_at": rfc3339(session.started_at),
        "ip": session.ip,
        "user_agent": session.agent,
    }
