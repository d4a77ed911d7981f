"""The three stages of a worker's end: stop claiming, drain, abort."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

__all__ = ["Stop", "being_cancelled", "first"]


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


async def first(*waits: Callable[[], Awaitable[object]]) -> None:
    """Start all `waits`, and cancel the others when one of them ends."""
    async with anyio.create_task_group() as tg:

        async def run(wait: Callable[[], Awaitable[object]]) -> None:
            await wait()
            tg.cancel_scope.cancel()

        for wait in waits:
            tg.start_soon(run, wait)


def being_cancelled() -> bool:
    """Whether somebody is cancelling the code that asks.

    If not, a cancellation that turns up was raised by a task of its own accord.
    """
    return anyio.current_effective_deadline() == float("-inf")
