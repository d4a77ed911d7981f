"""Waiting for whichever comes first, and telling who cancelled whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

__all__ = ["being_cancelled", "first"]


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
