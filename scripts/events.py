"""See what happened: who signed in, who was refused, who ended whose sessions."""

import json as json_module
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Annotated

import typer

from models import SecurityEvent
from scripts.output import say
from scripts.running import every, with_use_cases
from scripts.texts import text
from scripts.times import read_time
from service.clock import rfc3339
from service.errors import DatabaseUnavailable
from service.security.networks import Client
from service.telemetry.events import NAMES
from service.use_cases.read_events import Filter
from service.wiring import UseCases

app = typer.Typer(no_args_is_help=True, help="See what happened: the audit trail.")

_LOOK_EVERY_SECONDS = 0.5

User = Annotated[
    str | None, typer.Option("--user", help="Only of this user name, be it anybody's or not.", callback=text)
]
Name = Annotated[str | None, typer.Option("--event", help="Only events of this name.")]
Network = Annotated[str | None, typer.Option("--network", help="Only from the network of this address.")]
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="2026-11-24T03:00Z, or 2h (ago).")]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Likewise; the time itself is not included.")
]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")]


@app.command()
def tail(
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=100_000, help="How many.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens next.")] = False,
    user: User = None,
    event: Name = None,
    network: Network = None,
    since: Since = None,
    until: Until = None,
    json: Json = False,
) -> None:
    """Show the latest events, and with --follow those to come, until Ctrl-C.

    \b
    Examples:
      python -m scripts events tail
      python -m scripts events tail --user causas --event login_refused
      timeout -s INT 10 python -m scripts events tail --follow --json || true
    """
    wanted = _filter(user, event, network, since, until)

    async def work(do: UseCases) -> None:
        latest, follower = await do.read_events.tail(wanted, lines)
        if not _shown(latest, as_json=json) or not follow:
            return
        async for _ in every(_LOOK_EVERY_SECONDS):
            # An incident may be about the database: what happened meanwhile is shown when it is back.
            with suppress(DatabaseUnavailable):
                if not _shown(await follower.news(), as_json=json):
                    return

    with_use_cases(work)


@app.command()
def export(
    *,
    user: User = None,
    event: Name = None,
    network: Network = None,
    since: Since = None,
    until: Until = None,
    json: Json = False,
) -> None:
    """Print all events, the oldest first, however many they are.

    \b
    Examples:
      python -m scripts events export --since 7d --json
      python -m scripts events export --network 203.0.113.9 | head
    """
    wanted = _filter(user, event, network, since, until)

    async def work(do: UseCases) -> None:
        async for row in do.read_events.export(wanted):
            if not say(_line(row, as_json=json)):
                return

    with_use_cases(work)


def _filter(
    user: str | None, event: str | None, network: str | None, since: str | None, until: str | None
) -> Filter:
    if event is not None and event not in NAMES:
        raise typer.BadParameter(f"There is no event {event!r}. There are: {', '.join(NAMES)}.")
    return Filter(user, event, _network(network), read_time(since, "--since"), read_time(until, "--until"))


def _network(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        network = Client.at(text.partition("/")[0]).network
    except ValueError as error:
        raise typer.BadParameter(f"--network: {text!r} is no IPv4 or IPv6 address.") from error
    if "/" in text and text != network:
        raise typer.BadParameter(
            f"--network: events name the network of one client; for {text} that is {network}."
        )
    return network


def _shown(rows: Iterable[SecurityEvent], *, as_json: bool) -> bool:
    return all(say(_line(row, as_json=as_json)) for row in rows)


def _line(row: SecurityEvent, *, as_json: bool) -> str:
    facts = dict(_facts(row))
    if as_json:
        return json_module.dumps(facts)
    at, name = facts.pop("at"), facts.pop("event")
    del facts["id"]
    count = facts.pop("count")
    times = "" if count == 1 else f" x{count}"
    return f"{at}  {name}{times}" + "".join(f" {field}={value}" for field, value in facts.items())


def _facts(row: SecurityEvent) -> Iterator[tuple[str, object]]:
    yield "id", row.id
    yield "at", rfc3339(row.at)
    yield "event", row.name
    yield "count", row.count
    for field in ("user_id", "account", "network", "sid", "by"):
        if (value := getattr(row, field)) is not None:
            yield field, value
    yield from row.details.items()
