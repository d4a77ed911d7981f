"""Asks the broker several things at the same time, so that a page takes the time of the slowest answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

import anyio

__all__ = ["in_parallel"]

T = TypeVar("T")

AT_A_TIME: Final = 50
"""Calls that are under way at the same time."""


async def in_parallel(calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """Return the results of calls, in their order. The first error ends the others, and is raised."""
    results: dict[int, T] = {}
    limiter = anyio.CapacityLimiter(AT_A_TIME)

    async def run(place: int, call: Callable[[], Awaitable[T]]) -> None:
        async with limiter:
            results[place] = await call()

    try:
        async with anyio.create_task_group() as tg:
            for place, call in enumerate(calls):
                tg.start_soon(run, place, call)
    except ExceptionGroup as group:
        # As a single call raises it, for those that handle errors of the broker.
        raise group.exceptions[0] from group
    return [results[place] for place in sorted(results)]
