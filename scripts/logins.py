"""See why logins are refused, and end blocks."""

import math
import shlex
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from scripts.output import table, whose
from scripts.running import Json, operator, plural, report, with_use_cases
from scripts.texts import text
from scripts.times import at
from service.clock import rfc3339, whole_seconds
from service.errors import RedisUnavailable
from service.security.networks import Client
from service.stores.attempt_counters import Count, Counter
from service.stores.login_history import FAILURES_BEFORE_BLOCK
from service.use_cases.explain_login import BLOCKED, Explanation
from service.wiring import UseCases

app = typer.Typer(no_args_is_help=True, help="See why logins are refused, and end blocks.")

User = Annotated[
    str,
    typer.Argument(
        metavar="USER", help="The user name, as it is typed at a login.", show_default=False, callback=text
    ),
]

_COLUMNS = 80
_COUNTERS = {
    "pair": "by account and network",
    "account": "by account",
    "network": "by network",
    "wide network": "by the /48 around it",
}


@app.command()
def explain(
    user: User,
    *,
    network: Annotated[str | None, typer.Option(help="The address the login comes from.")] = None,
    json: Json = False,
) -> None:
    """Say what the next login would get, and why. Nothing is counted by it.

    \b
    Examples:
      python -m scripts logins explain causas
      python -m scripts logins explain causas --network 203.0.113.7 --json
    """
    client = _client(network)
    found = with_use_cases(lambda do: do.explain_login(user, client))
    report("\n".join(_lines(user, network, found)), _facts(found), as_json=json)


@app.command()
def blocks(*, json: Json = False) -> None:
    """List the accounts that are blocked for unknown networks.

    \b
    Examples:
      python -m scripts logins blocks
    """
    found = with_use_cases(lambda do: do.list_blocks())
    rows = [(whose(block.user, block.account), at(block.until), f"{block.failures:,}") for block in found]
    listed = [table(("account", "blocked until", "failures"), rows)] if found else []
    told = "\n".join([*listed, f"{plural(len(found), 'account')} blocked."])
    facts = [asdict(block) | {"until": rfc3339(block.until)} for block in found]
    report(told, {"blocks": facts}, as_json=json)


@app.command()
def unblock(user: User, *, json: Json = False) -> None:
    """End the block of an account and forget its failures.

    \b
    Examples:
      python -m scripts logins unblock causas
    """
    try:
        blocked, there = with_use_cases(lambda do: _unblocked(do, user))
    except RedisUnavailable:
        sentence = (
            f"Half done: {user} has no block and no failures in the database any more, but Redis does not"
            " answer. The attempts of the last minutes that it counted may still stand in the way of a login"
            " for as long as their window; to forget those too, run this again when Redis is back."
        )
        print(textwrap.fill(sentence, _COLUMNS), file=sys.stderr)
        raise typer.Exit(1) from None
    sentence = f"{user} is no longer blocked." if blocked else f"{user} was not blocked; failures forgotten."
    # The block of a name that nobody has can be ended, and so can that of a slip of the pen.
    if not blocked and not there:
        sentence = f"{user} was not blocked, and there is no such user: mind the spelling."
    report(sentence, {"was_blocked": blocked}, as_json=json)


async def _unblocked(do: UseCases, user: str) -> tuple[bool, bool]:
    """Return whether there was a block, and whether there is such a user."""
    blocked = await do.unblock_login(user, by=operator())
    return blocked, (await do.explain_login(user, None)).standing.user is not None


def _client(network: str | None) -> Client | None:
    try:
        return None if network is None else Client.at(network)
    except ValueError as error:
        raise typer.BadParameter(f"{network!r} is not an IPv4 or IPv6 address.") from error


def _lines(user: str, network: str | None, found: Explanation) -> Iterator[str]:
    advice, command = _advice(user, found)
    yield textwrap.fill(f"{_verdict(user, network, found)} {advice}", _COLUMNS, break_on_hyphens=False)
    if command is not None:
        yield f"    {command}"
    yield ""
    yield from _standing(network, found)
    if found.counters is None:
        yield "Redis does not answer: every process keeps a stricter limit of its own, unseen"
        yield "from here. Blocks and known networks, as above, are not affected."
        return
    for counter, count in found.counters:
        yield _line(counter, count)


def _verdict(user: str, network: str | None, found: Explanation) -> str:
    origin = network or "a network never seen before"
    wait = "" if found.retry_after is None else f", for {_span(found.retry_after)} more"
    return f"The right password of {user} from {origin} would get {found.status}: {found.reason}{wait}."


def _advice(user: str, found: Explanation) -> tuple[str, str | None]:
    """Say what can be done about it, and by which command."""
    name = shlex.quote(user)
    if found.status == 200:  # noqa: PLR2004 - as in HTTP
        return "If that login is refused all the same, its password is wrong.", None
    if found.retry_after is not None and (found.reason == BLOCKED or "account" in _spent(found)):
        return "It ends by itself. To end it now:", f"python -m scripts logins unblock {name}"
    if found.retry_after is not None:
        return "It ends by itself, and no command ends what is counted by network.", None
    if found.standing.user is None:
        return "Mind the spelling. To list the user names:", "python -m scripts users list"
    return "To let the user in again:", f"python -m scripts users enable {name}"


def _spent(found: Explanation) -> set[str]:
    return {counter.policy for counter, count in found.counters or () if count.attempts >= counter.limit}


def _standing(network: str | None, found: Explanation) -> Iterator[str]:
    standing = found.standing
    blocked_until = standing.blocked_until
    if blocked_until is not None and blocked_until > datetime.now(UTC):
        yield _row("block", f"until {at(blocked_until)}")
    else:
        yield _row("block", "none")
    yield _row("failures in a row", f"{standing.failures} (a block begins at {FAILURES_BEFORE_BLOCK})")
    if network is not None:
        known = "known: no block, no limit by account" if standing.known else "unknown"
        yield _row("this network", known)
    for number, row in enumerate(found.known_networks):
        name = "known networks" if number == 0 else ""
        yield _row(name, f"{row.network} (last login {at(row.last_login_at)})")
    if not found.known_networks:
        yield _row("known networks", "none")


def _line(counter: Counter, count: Count) -> str:
    text = f"{count.attempts} of {counter.limit} in {_span(counter.window)}"
    if count.pending:
        text += f", {count.pending} being checked"
    if count.attempts:
        text += f", oldest gone in {_span(count.oldest_leaves)}"
    if count.attempts >= counter.limit:
        text += " (spent)"
    return _row(_COUNTERS[counter.policy], text)


def _row(name: str, text: str) -> str:
    return f"{name:24}{text}"


def _facts(found: Explanation) -> dict[str, object]:
    standing = found.standing
    return {
        "status": found.status,
        "reason": found.reason,
        "retry_after": None if found.retry_after is None else whole_seconds(found.retry_after),
        "user_exists": standing.user is not None,
        "active": standing.user is not None and standing.user.active,
        "failures_in_a_row": standing.failures,
        "blocked_until": standing.blocked_until and rfc3339(standing.blocked_until),
        "network_known": standing.known,
        "known_networks": [row.network for row in found.known_networks],
        "counters": None
        if found.counters is None
        else [
            {
                "policy": counter.policy,
                "attempts": count.attempts,
                "pending": count.pending,
                "limit": counter.limit,
                "window": counter.window.total_seconds(),
                "oldest_leaves": count.oldest_leaves.total_seconds(),
            }
            for counter, count in found.counters
        ],
    }


def _span(span: timedelta) -> str:
    """Give a span as short as one can still tell; from two minutes on, rounded up to the minute."""
    seconds = whole_seconds(span)
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return " ".join(f"{number} {unit}" for number, unit in ((hours, "h"), (minutes, "min")) if number)
