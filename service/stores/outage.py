"""Know that a store does not answer, and find out in the background when it does again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Literal

from service.telemetry import metrics
from service.telemetry.causes import cause_of

log = logging.getLogger("service")

_PAUSE_SECONDS = 0.1


class Outage:
    """While one lasts, its store refuses at once: nobody waits for it but whoever asks here."""

    def __init__(
        self,
        store: Literal["redis", "database"],
        ask: Callable[[], Awaitable[object]],
        faults: tuple[type[Exception], ...],  # what `ask` raises as long as there is no answer
    ) -> None:
        self._store = store
        self._ask = ask
        self._faults = faults
        self._begun, self._over = f"{store}_lost", f"{store}_back"
        self._asking: asyncio.Task[None] | None = None
        self.cause: BaseException | None = None  # of the last one

    @property
    def lasts(self) -> bool:
        return self._asking is not None

    def begin(self, error: BaseException) -> None:
        """Note that the store did not answer; one that lasts already just goes on."""
        if self._asking is None:
            log.warning(self._begun, extra={"cause": cause_of(error)})
            metrics.lost(self._store)
            self.cause = error
            # In a context of its own: whoever met the outage has ended long before it has.
            asking = self._wait_until_over()
            self._asking = asyncio.get_running_loop().create_task(asking, context=Context())

    def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            metrics.back(self._store)

    async def _wait_until_over(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                await self._ask()
            except self._faults:
                continue
            log.warning(self._over)
            metrics.back(self._store)
            self._asking = None
            return
