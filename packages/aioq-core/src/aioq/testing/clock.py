"""Provides a clock that tests move."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Awaitable, Generator, Sized
from itertools import count
from types import coroutine
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

__all__ = ["VirtualClock"]

HOPS = 50
"""Rounds of the event loop that woken tasks get before time moves on."""

_ROUNDING = 1e-6
"""Error of sums of wall times in seconds, because they are large floats."""


class VirtualClock:
    """Wall and monotonic time that stand still until `advance` or `step` moves them.

    Args:
        start: The first value of the wall clock, in seconds since 1970-01-01T00:00:00Z.
    """

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self._base = start
        self._monotonic = 0.0
        self._sleepers = _Alarms()
        self._watchers = _Alarms()

    def time(self) -> float:
        """Return the wall clock, in seconds since 1970-01-01T00:00:00Z."""
        return self._base + self._monotonic

    def monotonic(self) -> float:
        """Return the seconds that `advance` has let pass."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has let `seconds` pass."""
        if seconds <= 0:
            await checkpoint()
            return
        await self._sleepers.at(self._monotonic + seconds)

    async def sleep_until(self, moment: float) -> None:
        """Wait until the wall clock shows `moment`, or is stepped."""
        if moment <= self.time():
            await checkpoint()
            return
        await self._watchers.at(moment)

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass: wake each sleeper at its moment, in order, and let it run."""
        await self.settle()
        target = self._monotonic + seconds
        while (wake := self._next_wake()) <= target + _ROUNDING:
            # Never back: a step of the wall clock may put the moment of a watcher into the past.
            self._monotonic = max(self._monotonic, wake)
            self._sleepers.ring(self._monotonic)
            self._watchers.ring(self._base + self._monotonic)
            await self.settle()
        self._monotonic = max(self._monotonic, target)

    def step(self, seconds: float) -> None:
        """Move only the wall clock, forward or back, as an operator or NTP does.

        Waiting calls of `sleep_until` return, as they do on a host within a second.
        """
        self._base += seconds
        self._watchers.ring(math.inf)

    def suspend(self, seconds: float) -> None:
        """Let both clocks jump without running any task, as when a laptop sleeps."""
        self._monotonic += seconds

    async def settle(self) -> None:
        """Run all tasks that can run, without letting time pass."""
        runnable = _runnable()
        if runnable is None:
            for _ in range(HOPS):
                await checkpoint()
            return
        for _ in range(HOPS):
            # A checkpoint takes several times as long, and a virtual day has forty thousand of these rounds.
            await _next_round()
            if not runnable:
                return

    def _next_wake(self) -> float:
        """Return the monotonic time at which the next task wakes; infinity without one."""
        return min(self._sleepers.next(), self._monotonic_at(self._watchers.next()))

    def _monotonic_at(self, moment: float) -> float:
        """Return the monotonic time at which the wall clock shows a moment, rounded up so that it is reached."""
        at = moment - self._base
        return at if self._base + at >= moment else math.nextafter(at, math.inf)


@coroutine
def _next_round() -> Generator[None]:
    """Let asyncio run each task that can run once."""
    yield


def _runnable() -> Sized | None:
    """Return the other tasks that can run now; None if the loop does not show them, as trio and uvloop."""
    try:
        # A private attribute of asyncio's loops. Without it `settle` runs all its rounds, which only takes longer.
        ready: Sized | None = getattr(asyncio.get_running_loop(), "_ready", None)
    except RuntimeError:
        return None
    return ready


def _future() -> asyncio.Future[None] | _Future:
    """Return a future of the running loop; on asyncio its own, which takes less time than an event."""
    try:
        return asyncio.get_running_loop().create_future()
    except RuntimeError:
        return _Future()


class _Future:
    """Provides the part of a future that alarms use, on trio."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def done(self) -> bool:
        return self._event.is_set()

    def set_result(self, result: None) -> None:
        self._event.set()

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            yield from self._event.wait().__await__()
        finally:
            self._event.set()  # a cancelled task is not woken


class _Alarms:
    """Futures of waiting tasks, each for a moment of one clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, asyncio.Future[None] | _Future]] = []
        self._sequence = count()

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, moment: float) -> Awaitable[None]:
        """Return what a task awaits until the moment."""
        future = _future()
        # The count keeps those of one moment in order. Futures cannot be compared.
        heapq.heappush(self._heap, (moment, next(self._sequence), future))
        return future

    def next(self) -> float:
        # The future of a cancelled task is done.
        while self._heap and self._heap[0][2].done():
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else math.inf

    def ring(self, now: float) -> None:
        """Wake the tasks whose moment has come."""
        while self._heap and self._heap[0][0] <= now:
            future = heapq.heappop(self._heap)[2]
            if not future.done():
                future.set_result(None)
