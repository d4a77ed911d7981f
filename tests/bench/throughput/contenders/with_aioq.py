"""Ourselves, with all that it promises: results, retries, epochs, leases, heartbeats."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aioq import Aarq, Worker
from aioq.task import Task
from tests.bench.throughput.contenders.harness import main, meter

app = Aarq(broker=os.environ["BENCH_URL"])


@app.task(name="nothing", save_result=False)
async def nothing(_: object, value: float) -> None:
    """Do nothing."""
    await meter.nothing(value)


@app.task(name="keep")
async def keep(_: object, value: float) -> float:
    """Return something."""
    await meter.nothing(value)
    return value


@app.task(name="nap", save_result=False)
async def nap(_: object, value: float) -> None:
    """Sleep."""
    await meter.nap(value)


@app.task(name="stamp", save_result=False)
async def stamp(_: object, value: float) -> None:
    """Tell the latency."""
    await meter.stamp(value)


TASKS: dict[str, Task[..., Any]] = {"nothing": nothing, "keep": keep, "nap": nap, "stamp": stamp}


class Ours:
    """See `Contender`."""

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Open what a producer needs."""
        async with app:
            yield

    async def send(self, kind: str, value: float) -> object:
        """Enqueue one job."""
        return await TASKS[kind].enqueue(value)

    async def send_many(self, kind: str, values: Sequence[float]) -> object:
        """Enqueue many in one call."""
        task = TASKS[kind]
        return await task.enqueue_many([task.call(value) for value in values])

    async def work(self, concurrency: int) -> object:
        """Be a worker until cancelled."""
        await Worker(app, concurrency=concurrency, handle_signals=False).run()
        return None


async def delay(_: Ours, jobs: int, first: float, last: float) -> dict[str, Any]:
    """Enqueue jobs that come due between two moments from now on, at times that are spread evenly."""
    begin = time.time()
    async with app:
        for start in range(0, jobs, 1000):
            step = (last - first) / jobs
            calls = [
                nothing.options(defer_by=max(0, begin + first + n * step - time.time())).call(-1 - n)
                for n in range(start, min(start + 1000, jobs))
            ]
            await app.enqueue_many(calls)
    return {"jobs": jobs, "seconds": time.time() - begin}


async def idle(ours: Ours, seconds: float) -> dict[str, Any]:
    """Be a worker with nothing to do."""
    worker = asyncio.ensure_future(ours.work(100))
    await asyncio.sleep(1)
    before = time.process_time()
    print("idle", flush=True)
    await asyncio.sleep(seconds)
    assert not worker.done()
    return {"cpu_share": (time.process_time() - before) / seconds}


if __name__ == "__main__":
    main(Ours(), delay=delay, idle=idle)
