# pyright: reportMissingImports=false
"""saq: a hash for each job, a list of ids, a list of the active ones."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from saq import Queue, Worker

from tests.bench.throughput.contenders.harness import main, meter

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

    async def work(self, concurrency: int) -> object:
        """Be a worker until cancelled."""
        functions: Any = [nothing, keep, nap, stamp]
        return await Worker(queue, functions, concurrency=concurrency).start()


if __name__ == "__main__":
    main(Saq())
