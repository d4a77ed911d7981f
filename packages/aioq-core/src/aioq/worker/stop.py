"""The three stages of a worker's end: stop claiming, drain, abort."""

from __future__ import annotations

import anyio

__all__ = ["Stop"]


class Stop:
    """Raised once to drain, twice to abort. Lowered never."""

    def __init__(self) -> None:
        self.draining = anyio.Event()
        self.aborting = anyio.Event()

    def request(self) -> None:
        """Go to the next stage."""
        (self.aborting if self.draining.is_set() else self.draining).set()

    def requested(self) -> bool:
        """Whether the worker is to take nothing new."""
        return self.draining.is_set()
