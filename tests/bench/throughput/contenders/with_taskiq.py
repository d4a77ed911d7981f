# pyright: reportMissingImports=false
"""taskiq with the stream broker of taskiq-redis: an entry for each job, acknowledged one by one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from taskiq import TaskiqScheduler
from taskiq.api import run_receiver_task, run_scheduler_task
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from tests.bench.throughput.contenders.harness import cron, main, meter

URL = os.environ["BENCH_URL"]

plain: Any = RedisStreamBroker(URL, consumer_id="0")
storing: Any = RedisStreamBroker(URL, queue_name="storing", consumer_id="0").with_result_backend(
    RedisAsyncResultBackend(URL, result_ex_time=3600)
)


@plain.task
async def nothing(value: float) -> None:
    """Do nothing."""
    await meter.nothing(value)


@storing.task
async def keep(value: float) -> float:
    """Return something."""
    await meter.nothing(value)
    return value


@plain.task
async def nap(value: float) -> None:
    """Sleep."""
    await meter.nap(value)


@plain.task
async def stamp(value: float) -> None:
    """Tell the latency."""
    await meter.stamp(value)


TASKS: dict[str, Any] = {"nothing": nothing, "keep": keep, "nap": nap, "stamp": stamp}


class Taskiq:
    """See `Contender`."""

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Open what a producer needs."""
        await plain.startup()
        await storing.startup()
        yield

    async def send(self, kind: str, value: float) -> object:
        """Enqueue one job."""
        return await TASKS[kind].kiq(value)

    async def send_many(self, kind: str, values: Sequence[float]) -> object:
        """There is no such call."""
        raise NotImplementedError

    async def send_later(self, values: Sequence[float], due: Sequence[float]) -> object:
        """The broker has no delays: a scheduler keeps jobs elsewhere, and sends them when they are due."""
        raise NotImplementedError

    async def work(self, concurrency: int) -> object:
        """Be a worker until cancelled."""
        broker = storing if os.environ.get("BENCH_KIND") == "keep" else plain
        broker.is_worker_process = True
        return await run_receiver_task(broker, max_async_tasks=concurrency, max_prefetch=concurrency, run_startup=True)

    async def idle(self, crons: int) -> object:
        """Be a worker, and a scheduler of crons when there are any: one process for what are two elsewhere."""
        for n in range(crons):
            minute, hour, day, month = cron(n)
            schedule = [{"cron": f"{minute} {hour} {day} {month} *"}]
            plain.register_task(never, f"n{n}", schedule=schedule)
        plain.is_worker_process = True
        duties: list[Any] = [run_receiver_task(plain, max_async_tasks=100, run_startup=True)]
        if crons:
            duties.append(run_scheduler_task(TaskiqScheduler(plain, [LabelScheduleSource(plain)])))
        return await asyncio.gather(*duties)


async def never() -> None:
    """Do nothing, in months."""


if __name__ == "__main__":
    main(Taskiq())
