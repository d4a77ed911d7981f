"""Ourselves, with all that it promises: results, retries, epochs, leases, heartbeats."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aioq import Aarq, Task, Worker
from tests.bench.throughput.contenders.harness import cron, main, meter

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

    async def send_later(self, values: Sequence[float], due: Sequence[float]) -> object:
        """Enqueue many, each with a delay."""
        delays = [max(0, at - time.time()) for at in due]
        return await app.enqueue_many(
            [nothing.options(defer_by=by).call(value) for value, by in zip(values, delays, strict=True)]
        )

    async def idle(self, crons: int) -> object:
        """Be a worker with crons; half of them fire once for the fleet."""
        for n in range(crons):
            minute, hour, day, month = cron(n)
            app.cron(f"{minute} {hour} {day} {month} *", name=f"n{n}", unique=n % 2 == 1)(never)
        return await self.work(100)


async def never(_: object) -> None:
    """Do nothing, in months."""


if __name__ == "__main__":
    main(Ours())
