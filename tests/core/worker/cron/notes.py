"""A cron task that records its calls."""

from __future__ import annotations

from typing import Any

import anyio

from aioq.testing import VirtualClock

START = 1_767_225_600.0
"""Where a `VirtualClock` starts: 2026-01-01T00:00:00Z."""


class Notes:
    """When a task was called, for which tick, and how it ended: in seconds since the start."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.__qualname__ = type(self).__qualname__  # an entry without a name is called like its function
        self.lasts = 0.0
        """Seconds that each run takes."""
        self.ticks: list[float] = []
        self.began: list[float] = []
        self.ended: list[float] = []
        self.cut: list[float] = []
        """The ticks whose runs were cancelled."""
        self.contexts: list[dict[str, Any]] = []

    async def __call__(self, ctx: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Take notes, and some time."""
        tick = ctx["scheduled_at"].timestamp() - START
        self.contexts.append({**ctx, "args": args, "kwargs": kwargs})
        self.ticks.append(tick)
        self.began.append(round(self._clock.monotonic(), 3))
        try:
            if self.lasts:
                await self._clock.sleep(self.lasts)
        except anyio.get_cancelled_exc_class():
            self.cut.append(tick)
            raise
        self.ended.append(round(self._clock.monotonic(), 3))
