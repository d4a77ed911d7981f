"""What every contender does in a process of its own: enqueue, work, and say how it went in one line of JSON.

Nothing but the standard library is imported here, for each contender runs in an environment of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

__all__ = ["Contender", "Meter", "main", "meter"]

KINDS = ("nothing", "keep", "nap", "stamp")
"""Tasks that a contender has: does nothing, returns its argument, sleeps 0.1 s, notes how long ago it was sent."""

NAP = 0.1
AFTERGLOW = 0.3
"""Seconds after the last job for the last acknowledgements to be written."""

WARM_UP = 20
"""Jobs that come before those whose latency counts."""


class Contender(Protocol):
    """One library."""

    def connected(self) -> AbstractAsyncContextManager[object]:
        """Open what a producer needs."""
        ...

    async def send(self, kind: str, value: float) -> object:
        """Enqueue one job."""
        ...

    async def send_many(self, kind: str, values: Sequence[float]) -> object:
        """Enqueue many by whatever call there is for that; raises NotImplementedError when there is none."""
        ...

    async def work(self, concurrency: int) -> object:
        """Be a worker until cancelled."""
        ...


class Meter:
    """Counts the jobs that have run in this process, and takes the time from the first to the last."""

    def __init__(self) -> None:
        self._left = 0
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
        """Run a job that knows when it was sent."""
        self._latencies.append(time.time() - sent)
        self.begin()
        self.end(sent)

    async def measure(self, work: Coroutine[Any, Any, object], jobs: int, patience: float) -> dict[str, Any]:
        """Work until so many jobs have run, and return the figures."""
        self._left = jobs
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
            "cpu_us": self._processor / jobs * 1e6,
            "latencies_ms": [seconds * 1000 for seconds in self._latencies[WARM_UP:]],
        }


meter = Meter()


async def enqueue(contender: Contender, mode: str, jobs: int) -> dict[str, Any]:
    """Enqueue jobs one by one, 100 at once, or by the bulk call."""
    async with contender.connected():
        await contender.send("nothing", -1)
        started = time.perf_counter()
        if mode == "one":
            for n in range(jobs):
                await contender.send("nothing", n)
        elif mode == "together":
            for first in range(0, jobs, 100):
                await asyncio.gather(*[contender.send("nothing", n) for n in range(first, first + 100)])
        else:
            for first in range(0, jobs, 1000):
                await contender.send_many("nothing", range(first, first + 1000))
        return {"jobs": jobs, "seconds": time.perf_counter() - started}


async def fill(contender: Contender, kind: str, jobs: int) -> dict[str, Any]:
    """Enqueue jobs for others to run."""
    async with contender.connected():
        for first in range(0, jobs, 100):
            part = range(first, min(first + 100, jobs))
            try:
                await contender.send_many(kind, part)
            except NotImplementedError:
                await asyncio.gather(*[contender.send(kind, n) for n in part])
    return {"jobs": jobs}


async def drip(contender: Contender, jobs: int, pause: float) -> dict[str, Any]:
    """Enqueue jobs that know when they were sent, with a pause before each."""
    async with contender.connected():
        for _ in range(jobs):
            await asyncio.sleep(pause)
            await contender.send("stamp", time.time())
        # The end of a process takes its core, which is the server's too, for some milliseconds.
        await asyncio.sleep(AFTERGLOW)
    return {"jobs": jobs}


async def work(contender: Contender, jobs: int, concurrency: int, patience: float) -> dict[str, Any]:
    """Be a worker until so many jobs have run."""
    return await meter.measure(contender.work(concurrency), jobs, patience)


def main(contender: Contender, **more: Any) -> None:
    """Do what the command line says, print the figures, and be gone: how a library shuts down is not measured."""
    role, *words = sys.argv[1:]
    roles = {"enqueue": enqueue, "fill": fill, "drip": drip, "work": work, **more}
    arguments = [word if word.isalpha() else json.loads(word) for word in words]
    try:
        import uvloop
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    run(_to_the_end(roles[role](contender, *arguments)))


async def _to_the_end(role: Coroutine[Any, Any, dict[str, Any]]) -> None:
    figures = await role
    print(json.dumps(figures), flush=True)
    os._exit(0)
