# pyright: reportMissingImports=false
"""arq: jobs in a sorted set, a key for each job and for each result; polls."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from arq import create_pool, func
from arq import cron as arq_cron
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker

from tests.bench.throughput.contenders.harness import cron, main, meter

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

    async def send_later(self, values: Sequence[float], due: Sequence[float]) -> object:
        """Enqueue many at once, for there is no call for that."""
        when = [datetime.fromtimestamp(at, UTC) for at in due]
        jobs = zip(values, when, strict=True)
        return await asyncio.gather(*[self.pool.enqueue_job("nothing", value, _defer_until=at) for value, at in jobs])

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

    async def idle(self, crons: int) -> object:
        """Be a worker with crons, one that polls as often as it does by itself."""
        jobs = [
            arq_cron(never, name=f"n{n}", month=month, day=day, hour=hour, minute=minute)
            for n in range(crons)
            for minute, hour, day, month in [cron(n)]
        ]
        worker = Worker([func(nothing)], cron_jobs=jobs, redis_settings=SETTINGS, max_jobs=100, handle_signals=False)
        return await worker.async_run()


async def never(_: object) -> None:
    """Do nothing, in months."""


if __name__ == "__main__":
    main(Arq())
