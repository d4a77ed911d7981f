# pyright: reportMissingImports=false
"""repid: a stream entry for each job, acknowledged one by one; no results, delays, retries or crons."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from repid import RedisServer, Repid, Router

from tests.bench.throughput.contenders.harness import main, meter

app = Repid()
app.servers.register_server("default", RedisServer(os.environ["BENCH_URL"], batch_size=100), is_default=True)
router = Router()


@router.actor(channel="default")
async def nothing(value: float) -> None:
    """Do nothing."""
    await meter.nothing(value)


@router.actor(channel="default")
async def nap(value: float) -> None:
    """Sleep."""
    await meter.nap(value)


@router.actor(channel="default")
async def stamp(value: float) -> None:
    """Tell the latency."""
    await meter.stamp(value)


app.include_router(router)


class RepidContender:
    """See `Contender`."""

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Open what a producer needs."""
        async with app.servers.default.connection():
            yield

    async def send(self, kind: str, value: float) -> object:
        """Enqueue one job."""
        return await app.send_message_json(channel="default", payload={"value": value}, headers={"topic": kind})

    async def send_many(self, kind: str, values: Sequence[float]) -> object:
        """There is no such call."""
        raise NotImplementedError

    async def send_later(self, values: Sequence[float], due: Sequence[float]) -> object:
        """There are no delays."""
        raise NotImplementedError

    async def work(self, concurrency: int) -> object:
        """Be a worker until cancelled."""
        async with self.connected():
            return await app.run_worker(tasks_limit=concurrency, register_signals=())

    async def idle(self, crons: int) -> object:
        """Be a worker; there are no crons."""
        if crons:
            raise NotImplementedError
        return await self.work(100)


if __name__ == "__main__":
    main(RepidContender())
