"""An event loop whose clock jumps to the next timer, so that a test of waiting does not wait."""

import asyncio
import selectors
from typing import Any


class _Jumping(selectors.SelectSelector):
    """Instead of sleeping, moves the clock on by as long as it was asked to sleep."""

    elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nothing is left to do, and somebody waits"
        self.elapsed += max(0.0, timeout)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.elapsed
