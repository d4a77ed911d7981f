"""Counts the jobs that have run in this process, and takes the time until the last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

__all__ = ["NAP", "WARM_UP", "Meter", "meter"]

NAP = 0.1
AFTERGLOW = 0.3
"""Seconds after the last job for the last acknowledgements to be written."""

WARM_UP = 20
"""Jobs that come before those whose latency counts."""


class Meter:
    """See above."""

    def __init__(self) -> None:
        self._left = self._after = 0
        self._started: tuple[float, float] | None = None
        self._seconds = self._processor = 0.0
        self._seen: set[float] = set()
        self._runs = 0
        self._latencies: list[float] = []
        self._done = asyncio.Event()

    def begin(self) -> None:
        """Note that a job has begun."""
        if self._started is None:
            self._started = time.perf_counter(), time.process_time()

    def end(self, value: float) -> None:
        """Note that a job has ended."""
        self._runs += 1
        self._seen.add(value)
        if self._runs == self._after:
            self._started = time.perf_counter(), time.process_time()
        if self._runs == self._left and self._started is not None:
            self._seconds = time.perf_counter() - self._started[0]
            self._processor = time.process_time() - self._started[1]
            self._done.set()

    async def nothing(self, value: float) -> None:
        """Run a job that does nothing."""
        self.begin()
        self.end(value)

    async def nap(self, value: float) -> None:
        """Run a job that sleeps."""
        self.begin()
        await asyncio.sleep(NAP)
        self.end(value)

    async def stamp(self, sent: float) -> None:
        """Run a job that knows when it was sent. The first one shows that the worker is up."""
        self._latencies.append(time.time() - sent)
        if self._started is None:
            print("up", flush=True)
        self.begin()
        self.end(sent)

    async def measure(
        self, work: Coroutine[Any, Any, object], jobs: int, patience: float, after: int = 0
    ) -> dict[str, Any]:
        """Work until a number of jobs have run, and return the figures.

        Time is taken from when `after` of them have ended: those that were claimed at once cost no time any more when
        the first begins.
        """
        self._left, self._after = jobs, after
        worker = asyncio.ensure_future(work)
        done = asyncio.ensure_future(self._done.wait())
        await asyncio.wait({worker, done}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if worker.done():
            worker.result()
        await asyncio.sleep(AFTERGLOW)
        return {
            "jobs": jobs,
            "ran": self._runs,
            "lost": jobs - len(self._seen),
            "twice": self._runs - len(self._seen),
            "seconds": self._seconds,
            "rate": (jobs - after) / self._seconds if self._seconds else 0,
            "cpu_us": self._processor / (jobs - after) * 1e6,
            "latencies_ms": [seconds * 1000 for seconds in self._latencies[WARM_UP:]],
        }


meter = Meter()
