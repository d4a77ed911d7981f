# pyright: reportMissingImports=false
"""arq: jobs in a sorted set, a key for each job and for each result; polls."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from arq import create_pool, func
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker

from tests.bench.throughput.contenders.harness import main, meter

SETTINGS = RedisSettings.from_dsn(os.environ["BENCH_URL"])


async def nothing(_: object, value: float) -> None:
    """Do nothing."""
    await meter.nothing(value)


async def keep(_: object, value: float) -> float:
    """Return something."""
    await meter.nothing(value)
    return value


async def nap(_: object, value: float) -> None:
    """Sleep."""
    await meter.nap(value)


async def stamp(_: object, value: float) -> None:
    """Tell the latency."""
    await meter.stamp(value)


class Arq:
    """See `Contender`."""

    pool: ArqRedis

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Open what a producer needs."""
        self.pool = await create_pool(SETTINGS)
        yield

    async def send(self, kind: str, value: float) -> object:
        """Enqueue one job."""
        return await self.pool.enqueue_job(kind, value)

    async def send_many(self, kind: str, values: Sequence[float]) -> object:
        """There is no such call."""
        raise NotImplementedError

    async def work(self, concurrency: int) -> object:
        """Be a worker until cancelled, one that polls often."""
        functions: list[Any] = [func(f, keep_result=0) for f in (nothing, nap, stamp)]
        worker = Worker(
            [*functions, func(keep, keep_result=3600)],
            redis_settings=SETTINGS,
            max_jobs=concurrency,
            poll_delay=0.01,
            handle_signals=False,
        )
        return await worker.async_run()


if __name__ == "__main__":
    main(Arq())
