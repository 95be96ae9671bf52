"""Run work that must end properly whoever stops waiting for it."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
log = logging.getLogger("service")

_running: set[asyncio.Task[Any]] = set()


async def uncancelled(work: Coroutine[Any, Any, T]) -> T:
    """Await the work; should the caller be cancelled (its client hung up), the work goes on."""
    return await asyncio.shield(in_background(work))


def in_background(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start the work as a task that is kept, and whose error is logged if nobody awaits it."""
    task = asyncio.get_running_loop().create_task(work)
    _running.add(task)
    task.add_done_callback(_forget)
    return task


async def finish_all() -> None:
    """Wait for everything that is still running: the last step before the stores are closed."""
    loop = asyncio.get_running_loop()
    while mine := [task for task in _running if task.get_loop() is loop]:
        await asyncio.wait(mine)


def _forget(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.debug("background_work_failed", exc_info=error)
