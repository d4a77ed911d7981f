# pyright: reportMissingImports=false
"""saq: a hash for each job, a list of ids, a list of the active ones."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from saq import CronJob, Queue, Worker

from tests.bench.throughput.contenders.harness import cron, main, meter

queue = Queue.from_url(os.environ["BENCH_URL"])

TTL = {"keep": 600}
"""Seconds that a result is kept; -1 for not at all."""


async def nothing(_: object, *, value: float) -> None:
    """Do nothing."""
    await meter.nothing(value)


async def keep(_: object, *, value: float) -> float:
    """Return something."""
    await meter.nothing(value)
    return value


async def nap(_: object, *, value: float) -> None:
    """Sleep."""
    await meter.nap(value)


async def stamp(_: object, *, value: float) -> None:
    """Tell the latency."""
    await meter.stamp(value)


class Saq:
    """See `Contender`."""

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Open what a producer needs."""
        await queue.connect()
        yield

    async def send(self, kind: str, value: float) -> object:
        """Enqueue one job."""
        return await queue.enqueue(kind, value=value, ttl=TTL.get(kind, -1))

    async def send_many(self, kind: str, values: Sequence[float]) -> object:
        """There is no such call."""
        raise NotImplementedError

    async def send_later(self, values: Sequence[float], due: Sequence[float]) -> object:
        """Enqueue many at once, for there is no call for that. Its times are whole seconds."""
        jobs = zip(values, due, strict=True)
        return await asyncio.gather(
            *[queue.enqueue("nothing", value=value, ttl=-1, scheduled=round(at)) for value, at in jobs]
        )

    async def work(self, concurrency: int) -> object:
        """Be a worker until cancelled."""
        functions: Any = [nothing, keep, nap, stamp]
        return await Worker(queue, functions, concurrency=concurrency).start()

    async def idle(self, crons: int) -> object:
        """Be a worker with crons, each of a function of its own: it knows them by that name."""
        jobs = [
            CronJob(_never(n), cron=f"{minute} {hour} {day} {month} *")
            for n in range(crons)
            for minute, hour, day, month in [cron(n)]
        ]
        functions: Any = [nothing]
        return await Worker(queue, functions, cron_jobs=jobs, concurrency=100).start()


def _never(number: int) -> Any:
    async def never(_: object) -> None:
        """Do nothing, in months."""

    never.__name__ = never.__qualname__ = f"n{number}"
    return never


if __name__ == "__main__":
    main(Saq())
