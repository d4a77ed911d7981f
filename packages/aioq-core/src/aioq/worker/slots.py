"""Room for running jobs."""

from __future__ import annotations

from collections.abc import Callable

import anyio

__all__ = ["Slots"]


class Slots:
    """A number of slots, some of them free."""

    def __init__(self, total: int) -> None:
        self.total = self.free = total
        self._changed: anyio.Event | None = None
        self._idle: anyio.Event | None = None

    @property
    def taken(self) -> int:
        """How many jobs are running."""
        return self.total - self.free

    def take(self) -> None:
        """Fill a free slot."""
        self.free -= 1

    def release(self) -> None:
        """Give a slot back, and wake those who wait."""
        self.free += 1
        self.wake()
        if self._idle is not None and self.free == self.total:
            self._idle.set()
            self._idle = None

    def wake(self) -> None:
        """Have those who wait look again."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def idle(self) -> anyio.Event | None:
        """Return an event that is set once every slot is free; None when they all are."""
        if self._idle is None and self.taken:
            self._idle = anyio.Event()
        return self._idle

    async def wait_free(self, unless: Callable[[], bool]) -> None:
        """Wait until there is a free slot, or until a `wake` finds `unless` true."""
        while not self.free and not unless():
            await self._change()

    async def wait_idle(self) -> None:
        """Wait until every slot is free."""
        while self.taken:
            await self._change()

    async def _change(self) -> None:
        # Made by who waits: one for each job that ends would cost 3 us.
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()
