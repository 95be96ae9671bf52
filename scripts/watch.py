"""Watch how the service fares: once, line by line, or on a live screen."""

import asyncio
import json as jsonlib
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.live import Live

from scripts.dashboard import Picture, facts, line, screen, text
from scripts.measurements import Measurements, NoMeasurements, measure
from scripts.output import say
from scripts.running import Json, every, with_use_cases
from service.settings import Settings
from service.wiring import UseCases

Seconds = Annotated[float, typer.Option("--every", min=0.5, max=3600, help="Seconds between two looks.")]
Once = Annotated[bool, typer.Option("--once", help="Look once, at what a second of work is like.")]
Url = Annotated[
    str | None, typer.Option(help="Where the service answers; http://localhost and PORT by default.")
]


def watch(*, once: Once = False, seconds: Seconds = 2.0, url: Url = None, json: Json = False) -> None:
    """Watch logins, blocks, attacks, sessions and what is degraded. Nothing is changed by it.

    What is known comes from the database and from /metrics of the
    service (METRICS_TOKEN); one that does not answer is named. In a pipe it
    is a line for each look; with --json an object.

    \b
    Examples:
      python -m scripts watch --once
      python -m scripts watch --once --json
      python -m scripts watch --once --url http://localhost:8000
    """
    settings = Settings.from_env()
    where = url or f"http://localhost:{settings.port}"
    if not where.startswith(("http://", "https://")):
        raise typer.BadParameter("--url begins with http:// or https://.")
    live = sys.stdout.isatty() and not once and not json

    async def work(do: UseCases) -> None:
        pictures = _pictures(do, where, settings.metrics_token, 1.0 if once else seconds)
        if live:
            await _show(pictures)
            return
        async for picture in pictures:
            told = jsonlib.dumps(facts(picture)) if json else text(picture) if once else line(picture)
            if not say(told) or once:
                return

    with_use_cases(work)


async def _show(pictures: AsyncIterator[Picture]) -> None:
    with Live(screen=True, auto_refresh=False) as live:
        async for picture in pictures:
            live.update(screen(picture), refresh=True)


async def _pictures(do: UseCases, url: str, token: str | None, seconds: float) -> AsyncIterator[Picture]:
    """Look again and again; the first look waits for rates to be known."""
    before, _ = await _measure(url, token)
    async for _ in every(seconds):
        now, why_not = await _measure(url, token)
        yield Picture(datetime.now(UTC), url, await do.observe(), now, before, why_not)
        before = now


async def _measure(url: str, token: str | None) -> tuple[Measurements | None, str]:
    try:
        return await asyncio.to_thread(measure, url, token), ""
    except NoMeasurements as error:
        return None, str(error)
