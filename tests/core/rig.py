"""Running workers inside a test."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypedDict, Unpack

import anyio
from anyio.lowlevel import checkpoint

from aioq import Aarq, Worker
from aioq.clock import Clock
from aioq.model.job import JobRecord
from aioq.protocols import Broker, JobStore

PATIENCE = 60.0
"""Seconds after which a test that waits has failed."""


class Options(TypedDict, total=False):
    """What a test says of its worker."""

    queues: list[str]
    concurrency: int
    lease: float
    max_block: float
    grace: float
    poll: float | None
    id: str
    clock: Clock


async def drain(app: Aarq, **options: Unpack[Options]) -> None:
    """Run everything that is due, and what comes of it."""
    with anyio.fail_after(PATIENCE):
        await Worker(app, burst=True, handle_signals=False, **options).run()


@asynccontextmanager
async def working(app: Aarq, **options: Unpack[Options]) -> AsyncGenerator[Worker, None]:
    """Run a worker beside the block, and stop it after: running jobs may end."""
    worker = Worker(app, handle_signals=False, **options)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            yield worker
            worker.stop()


async def settle_down() -> None:
    """Let everything that can run do so."""
    for _ in range(100):
        await checkpoint()


async def until(condition: Callable[[], Any]) -> None:
    """Let others run until something has come true."""
    with anyio.fail_after(PATIENCE):
        while not condition():
            await checkpoint()


async def record_of(broker: Broker, job_id: str) -> JobRecord:
    """Return the record of a job, which must be there."""
    assert isinstance(broker, JobStore)
    record = await broker.get_job(job_id)
    assert record is not None
    return record
