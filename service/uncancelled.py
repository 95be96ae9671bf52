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
    return await asyncio.shield(kept(work))


def kept(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start the work as a task that ends whoever stops waiting for it; who waits gets its error."""
    task = asyncio.get_running_loop().create_task(work)
    _running.add(task)
    task.add_done_callback(_forget)
    return task


def in_background(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Likewise work that nobody waits for: its error is logged, or nobody would hear of it."""
    task = kept(work)
    task.add_done_callback(_tell)
    return task


async def finish_all() -> None:
    """Wait for everything that is still running: the last step before the stores are closed."""
    loop = asyncio.get_running_loop()
    while mine := [task for task in _running if task.get_loop() is loop]:
        await asyncio.wait(mine)


def _forget(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled():
        # Looked at here: asyncio complains of an error that nobody has seen, and who waited may be gone.
        task.exception()


def _tell(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("background_work_failed", exc_info=error)
