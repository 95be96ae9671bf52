"""Do something again and again while a process serves."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

log = logging.getLogger("service")


class Periodic:
    """Calls `step` with a pause before each call; a step that fails is logged, and the next one comes."""

    def __init__(self, step: Callable[[], Awaitable[None]], pause: timedelta) -> None:
        self._step = step
        self._pause = pause.total_seconds()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            try:
                await self._step()
            except Exception:
                log.exception("periodic_step_failed", extra={"step": self._step.__qualname__})
