"""Measures the broker, with workers in processes of their own: `python measure.py [normal|full]`."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from asyncio.subprocess import Process
from tempfile import TemporaryDirectory

from aioq_sqlite import SqliteBroker

from aioq import Aarq, JobContext, Worker

CALLS, JOBS, LONE = 1000, 20_000, 200

FILE = os.environ.get("MEASURED_FILE", "")

app = Aarq(SqliteBroker(f"sqlite://{FILE}", synchronous=os.environ["MEASURED_SYNC"])) if FILE else Aarq()


@app.task
async def stamp(ctx: JobContext) -> float:
    """Return when it was started."""
    return time.time()


@app.task(save_result=False)
async def nothing(ctx: JobContext) -> None:
    """Do nothing."""


async def start(role: str) -> Process:
    """Run this file in another process, as a worker."""
    return await asyncio.create_subprocess_exec(sys.executable, __file__, role)


async def measure() -> None:
    """Print the figures. Each of the workers has 100 slots."""
    assert isinstance(app.broker, SqliteBroker)
    await app.broker.migrate()
    async with app:
        begin = time.perf_counter()
        for _ in range(CALLS):
            await nothing.enqueue()
        show("enqueue, one after the other", f"{CALLS / (time.perf_counter() - begin):,.0f} jobs/s")
        begin = time.perf_counter()
        for _ in range(JOBS // 1000):
            await nothing.enqueue_many([nothing.call() for _ in range(1000)])
        show("enqueue_many of 1,000", f"{JOBS / (time.perf_counter() - begin):,.0f} jobs/s")
        worker = await start("drain")
        while (left := (await app.broker.queue_stats())[0].pending) > JOBS:
            await asyncio.sleep(0.02)
        begin = time.perf_counter()
        await worker.wait()
        show("drain by one worker", f"{left / (time.perf_counter() - begin):,.0f} jobs/s")
        worker = await start("serve")
        late = sorted([await latency() for _ in range(LONE)][10:])
        show(
            "start of a lone job",
            f"{statistics.median(late) * 1000:.1f} ms, 95 %: {late[-len(late) // 20] * 1000:.1f} ms",
        )
        worker.terminate()
        await worker.wait()


async def latency() -> float:
    """Return the seconds from the call of `enqueue` until the task starts, on an idle worker."""
    await asyncio.sleep(0.02)
    begin = time.time()
    job = await stamp.enqueue()
    return await job.result(timeout=30) - begin


def show(what: str, figure: str) -> None:
    """Print a figure."""
    print(f"{what:30} {figure}", flush=True)


if __name__ == "__main__":
    if not FILE:
        with TemporaryDirectory() as folder:
            found = {"MEASURED_FILE": f"{folder}/jobs.db", "MEASURED_SYNC": (sys.argv[1:] or ["normal"])[0]}
            subprocess.run([sys.executable, __file__, "measure"], env={**os.environ, **found}, check=True)
    elif sys.argv[1] == "measure":
        asyncio.run(measure())
    else:
        asyncio.run(Worker(app, burst=sys.argv[1] == "drain", concurrency=100).run())
