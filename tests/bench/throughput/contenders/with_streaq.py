# pyright: reportMissingImports=false
"""streaq: jobs in streams of a consumer group, a key for each job and for each result."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from streaq import Worker

from tests.bench.throughput.contenders.harness import cron, main, meter

CONCURRENCY = 100

worker: Any = Worker(redis_url=os.environ["BENCH_URL"], concurrency=CONCURRENCY, handle_signals=False)


@worker.task(ttl=0)
async def nothing(value: float) -> None:
    """Do nothing."""
    await meter.nothing(value)


@worker.task(ttl=300)
async def keep(value: float) -> float:
    """Return something."""
    await meter.nothing(value)
    return value


@worker.task(ttl=0)
async def nap(value: float) -> None:
    """Sleep."""
    await meter.nap(value)


@worker.task(ttl=0)
async def stamp(value: float) -> None:
    """Tell the latency."""
    await meter.stamp(value)


TASKS: dict[str, Any] = {"nothing": nothing, "keep": keep, "nap": nap, "stamp": stamp}


class Streaq:
    """See `Contender`."""

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Open what a producer needs."""
        async with worker:
            yield

    async def send(self, kind: str, value: float) -> object:
        """Enqueue one job."""
        return await TASKS[kind].enqueue(value)

    async def send_many(self, kind: str, values: Sequence[float]) -> object:
        """Enqueue many in one call."""
        task = TASKS[kind]
        return await worker.enqueue_many([task.enqueue(value) for value in values])

    async def send_later(self, values: Sequence[float], due: Sequence[float]) -> object:
        """Enqueue many in one call."""
        when = [datetime.fromtimestamp(at, UTC) for at in due]
        send = TASKS["nothing"].enqueue
        return await worker.enqueue_many(
            [send(value).start(schedule=at) for value, at in zip(values, when, strict=True)]
        )

    async def work(self, concurrency: int) -> object:
        """Be a worker until cancelled."""
        assert concurrency == CONCURRENCY
        return await worker.run_async()

    async def idle(self, crons: int) -> object:
        """Be a worker with crons."""
        for n in range(crons):
            minute, hour, day, month = cron(n)
            worker.cron(f"{minute} {hour} {day} {month} *", name=f"n{n}")(never)
        return await worker.run_async()


async def never() -> None:
    """Do nothing, in months."""


if __name__ == "__main__":
    main(Streaq())
