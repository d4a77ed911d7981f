"""What every contender does in a process of its own: enqueue, work, and say how it went in lines of JSON.

Nothing but the standard library is imported here, for each contender runs in an environment of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias

from tests.bench.throughput.contenders.meter import meter

__all__ = ["Contender", "cron", "main", "meter"]

KINDS = ("nothing", "keep", "nap", "stamp")
"""Tasks that a contender has: does nothing, returns its argument, sleeps 0.1 s, notes how long ago it was sent."""

LATER = 1000
"""Delayed jobs that are sent at a time."""

SETTLING = 40
"""Seconds within which a worker with crons must be at rest, to be measured then."""


class Contender(Protocol):
    """One library. What it cannot do raises NotImplementedError."""

    def connected(self) -> AbstractAsyncContextManager[object]:
        """Open what a producer needs."""
        ...

    async def send(self, kind: str, value: float) -> object:
        """Enqueue one job."""
        ...

    async def send_many(self, kind: str, values: Sequence[float]) -> object:
        """Enqueue many by whatever call there is for that."""
        ...

    async def send_later(self, values: Sequence[float], due: Sequence[float]) -> object:
        """Enqueue many jobs that do nothing, each with its own due time."""
        ...

    async def work(self, concurrency: int) -> object:
        """Be a worker until cancelled."""
        ...

    async def idle(self, crons: int) -> object:
        """Be a worker with the library's own settings and a number of crons, see `cron`, until cancelled."""
        ...


Role: TypeAlias = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


def cron(number: int) -> tuple[int, int, int, int]:
    """Return the minute, hour, day and month of a cron that is due in months: no two in 10,000 are alike."""
    month = (time.gmtime().tm_mon + 2) % 12 + 1
    return number % 60, number // 60 % 24, number // 1440 + 1, month


async def enqueue(contender: Contender, mode: str, jobs: int) -> dict[str, Any]:
    """Enqueue jobs one by one, 100 at once, or by the bulk call."""
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
    for first in range(0, jobs, 100):
        part = range(first, min(first + 100, jobs))
        try:
            await contender.send_many(kind, part)
        except NotImplementedError:
            await asyncio.gather(*[contender.send(kind, n) for n in part])
    return {"jobs": jobs}


async def drip(contender: Contender, jobs: int, pause: float) -> dict[str, Any]:
    """Enqueue jobs that know when they were sent, with a pause before each."""
    for _ in range(jobs):
        await asyncio.sleep(pause)
        await contender.send("stamp", time.time())
    return {"jobs": jobs}


async def delay(contender: Contender, jobs: int, first: float, last: float) -> dict[str, Any]:
    """Enqueue jobs that come due between two moments from now on, at times that are spread evenly."""
    begin, step = time.time(), (last - first) / jobs
    for start in range(0, jobs, LATER):
        part = range(start, min(start + LATER, jobs))
        await contender.send_later([-1 - n for n in part], [begin + first + n * step for n in part])
    return {"jobs": jobs, "seconds": time.time() - begin}


async def serve(contender: Contender) -> dict[str, Any]:
    """Be a producer, which does one thing after the other as the lines on its standard input say."""
    roles: dict[str, Role] = {"enqueue": enqueue, "fill": fill, "drip": drip, "delay": delay}
    loop = asyncio.get_running_loop()
    async with contender.connected():
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            role, *arguments = json.loads(line)
            print(json.dumps(await roles[role](contender, *arguments)), flush=True)
    return {}


async def work(contender: Contender, jobs: int, concurrency: int, patience: float, after: int) -> dict[str, Any]:
    """Be a worker until a number of jobs have run; time those after the first `after`."""
    return await meter.measure(contender.work(concurrency), jobs, patience, after)


async def idle(contender: Contender, crons: int, seconds: float) -> dict[str, Any]:
    """Be a worker with nothing to do, and tell from when on it counts."""
    worker = asyncio.ensure_future(contender.idle(crons))
    deadline, used = time.monotonic() + SETTLING, 1.0
    while used > 0.02 and time.monotonic() < deadline:
        before = time.process_time()
        await asyncio.sleep(1)
        used = time.process_time() - before
    before, begin = time.process_time(), time.monotonic()
    print("up", flush=True)
    await asyncio.sleep(seconds)
    if worker.done():
        worker.result()
        raise RuntimeError("the worker has ended")
    return {"cpu_share": (time.process_time() - before) / (time.monotonic() - begin)}


def main(contender: Contender) -> None:
    """Do what the command line says, print the figures, and be gone: how a library shuts down is not measured."""
    role, *words = sys.argv[1:]
    roles: dict[str, Role] = {"serve": serve, "work": work, "idle": idle}
    try:
        import uvloop
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    run(_to_the_end(roles[role](contender, *map(json.loads, words))))


async def _to_the_end(role: Coroutine[Any, Any, dict[str, Any]]) -> None:
    figures = await role
    print(json.dumps(figures), flush=True)
    os._exit(0)
