"""Room for running jobs."""

from __future__ import annotations

import anyio

__all__ = ["Slots"]


class Slots:
    """A number of slots, some of them free."""

    def __init__(self, total: int) -> None:
        self.total = self.free = total
        self._changed = anyio.Event()

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
        self._changed.set()
        self._changed = anyio.Event()

    async def wait_free(self) -> None:
        """Wait until there is a free slot."""
        while not self.free:
            await self._changed.wait()

    async def wait_idle(self) -> None:
        """Wait until every slot is free."""
        while self.taken:
            await self._changed.wait()
