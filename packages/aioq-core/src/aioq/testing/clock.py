"""A clock that a test moves by hand."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Sized
from itertools import count

import anyio
from anyio.lowlevel import checkpoint

__all__ = ["VirtualClock"]

HOPS = 50
"""Rounds of the event loop that a woken task gets before time moves on."""

QUIET = 3
"""Rounds in a row without anybody to run, where that can be seen, after which nobody will."""

_ROUNDING = 1e-6
"""Seconds by which sums of wall times, which are large floats, may be off."""


class VirtualClock:
    """Wall and monotonic time that stand still until `advance` or `step` moves them.

    Args:
        start: The wall clock at first, in seconds since 1970-01-01T00:00:00Z.
    """

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self._base, self._monotonic = start, 0.0
        self._sleepers, self._watchers = _Alarms(), _Alarms()

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
        await self._sleepers.wait(self._monotonic + seconds)

    async def sleep_until(self, moment: float) -> None:
        """Wait until the wall clock shows `moment`, or is stepped."""
        if moment <= self.time():
            await checkpoint()
            return
        await self._watchers.wait(moment)

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass: wake each sleeper at its moment, in order, and let it act."""
        await self.settle()
        target = self._monotonic + seconds
        while (wake := self._next_wake()) is not None and wake <= target + _ROUNDING:
            self._monotonic = max(self._monotonic, wake)
            self._sleepers.ring(self._monotonic)
            self._watchers.ring(self.time())
            await self.settle()
        self._monotonic = max(self._monotonic, target)

    def step(self, seconds: float) -> None:
        """Move the wall clock alone, forwards or backwards, as an operator or NTP would.

        Who waits in `sleep_until` wakes and looks, as on a host within a second.
        """
        self._base += seconds
        self._watchers.ring(math.inf)

    def suspend(self, seconds: float) -> None:
        """Let both clocks jump while nobody runs, as when a laptop sleeps."""
        self._monotonic += seconds

    async def settle(self) -> None:
        """Let every task that can run do so, without time passing."""
        quiet = 0
        for _ in range(HOPS):
            await checkpoint()
            quiet = quiet + 1 if _nobody_is_ready() else 0
            if quiet == QUIET:
                return

    def _next_wake(self) -> float | None:
        """The monotonic time at which the next sleeper wakes; None when there is none."""
        sleeper, watcher = self._sleepers.next(), self._watchers.next()
        wakes = [] if sleeper is None else [sleeper]
        if watcher is not None:
            wakes.append(self._monotonic_at(watcher))
        return min(wakes, default=None)

    def _monotonic_at(self, moment: float) -> float:
        """The monotonic time at which the wall clock shows a moment; rounded up, or it would never be shown."""
        at = moment - self._base
        return at if self._base + at >= moment else math.nextafter(at, math.inf)


def _nobody_is_ready() -> bool:
    """Whether no task but this one can run; False where there is no telling, as on trio and uvloop."""
    try:
        ready: Sized | None = getattr(asyncio.get_running_loop(), "_ready", None)
    except RuntimeError:
        return False
    return ready is not None and not ready


class _Alarms:
    """Those who wait, each for a moment of one clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, anyio.Event]] = []
        self._sequence = count()

    def __len__(self) -> int:
        return len(self._heap)

    async def wait(self, moment: float) -> None:
        event = anyio.Event()
        heapq.heappush(self._heap, (moment, next(self._sequence), event))
        try:
            await event.wait()
        finally:
            event.set()  # who was cancelled needs no waking

    def next(self) -> float | None:
        while self._heap and self._heap[0][2].is_set():
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def ring(self, now: float) -> None:
        """Wake all whose moment has come."""
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2].set()
