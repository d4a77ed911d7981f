"""A clock that a test moves by hand."""

from __future__ import annotations

import heapq
from itertools import count

import anyio
from anyio.lowlevel import checkpoint

__all__ = ["VirtualClock"]

HOPS = 50
"""Rounds of the event loop that a woken task gets before time moves on."""


class VirtualClock:
    """Wall and monotonic time that stand still until `advance` or `step` moves them.

    Args:
        start: The wall clock at first, in seconds since 1970-01-01T00:00:00Z.
    """

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self._wall, self._monotonic = start, 0.0
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._sequence = count()

    def time(self) -> float:
        """Return the wall clock, in seconds since 1970-01-01T00:00:00Z."""
        return self._wall

    def monotonic(self) -> float:
        """Return the seconds that `advance` has let pass."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has let `seconds` pass."""
        if seconds <= 0:
            await checkpoint()
            return
        event = anyio.Event()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._sequence), event))
        try:
            await event.wait()
        finally:
            event.set()  # who was cancelled needs no waking

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass: wake each sleeper at its moment, in order, and let it act."""
        await self.settle()
        target = self._monotonic + seconds
        while (moment := self._next_wake()) is not None and moment <= target:
            self._move(max(self._monotonic, moment))
            while self._sleepers and self._sleepers[0][0] <= self._monotonic:
                heapq.heappop(self._sleepers)[2].set()
            await self.settle()
        self._move(target)

    def step(self, seconds: float) -> None:
        """Move the wall clock alone, forwards or backwards, as an operator or NTP would."""
        self._wall += seconds

    def suspend(self, seconds: float) -> None:
        """Let both clocks jump while nobody runs, as when a laptop sleeps."""
        self._move(self._monotonic + seconds)

    async def settle(self) -> None:
        """Let every task that can run do so, without time passing."""
        for _ in range(HOPS):
            await checkpoint()

    def _next_wake(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].is_set():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def _move(self, moment: float) -> None:
        self._wall += moment - self._monotonic
        self._monotonic = moment
