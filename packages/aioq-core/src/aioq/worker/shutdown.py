"""The worker's shutdown: stop claiming and drain, then abort."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

__all__ = ["Shutdown", "being_cancelled", "race"]


class Shutdown:
    """The stages of a shutdown. The first request drains, the second aborts; it cannot be reset."""

    def __init__(self) -> None:
        self.requested = False
        """Whether the worker must start nothing new. A plain attribute, because every claim and job asks for it."""
        self.draining = anyio.Event()
        self.aborting = anyio.Event()
        self._listeners: list[Callable[[], None]] = []

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Call `listener` at each stage. This is cheaper than a `race` for code that waits often."""
        self._listeners.append(listener)

    def request(self) -> None:
        """Go to the next stage."""
        self.requested = True
        # Listeners come last: they look at the stage.
        (self.aborting if self.draining.is_set() else self.draining).set()
        for listener in self._listeners:
            listener()


async def race(*waits: Callable[[], Awaitable[object]]) -> None:
    """Run all `waits` at the same time until the first one ends, and cancel the others."""
    async with anyio.create_task_group() as tg:

        async def run(wait: Callable[[], Awaitable[object]]) -> None:
            await wait()
            tg.cancel_scope.cancel()

        for wait in waits:
            tg.start_soon(run, wait)


def being_cancelled() -> bool:
    """Return whether a cancel scope around the caller is being cancelled.

    If not, a cancellation that arrives was raised by the task's own code.
    """
    # anyio reports a cancelled scope, at any depth, as one whose deadline has always been over.
    return anyio.current_effective_deadline() == float("-inf")
