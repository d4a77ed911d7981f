"""The three stages of a worker's end: stop claiming, drain, abort."""

from __future__ import annotations

from collections.abc import Callable

import anyio

__all__ = ["Stop"]


class Stop:
    """Raised once to drain, twice to abort. Lowered never."""

    def __init__(self) -> None:
        self.draining = anyio.Event()
        self.aborting = anyio.Event()
        self._listeners: list[Callable[[], None]] = []

    def tell(self, listener: Callable[[], None]) -> None:
        """Have `listener` called at each stage: cheaper than a race, for who waits often."""
        self._listeners.append(listener)

    def request(self) -> None:
        """Go to the next stage."""
        (self.aborting if self.draining.is_set() else self.draining).set()
        for listener in self._listeners:
            listener()

    def requested(self) -> bool:
        """Whether the worker is to take nothing new."""
        return self.draining.is_set()
