"""Runs workers inside a test, and waits for what they do."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypedDict, Unpack

import anyio
from anyio.lowlevel import checkpoint

from aioq import Aarq, Worker
from aioq.clock import Clock
from aioq.model.job import JobRecord, Lease
from aioq.protocols import Broker, JobStore

TIMEOUT = 60.0
"""Seconds after which a waiting test fails: many virtual hours take long on a loaded machine."""


class Options(TypedDict, total=False):
    """The options of a worker that tests set."""

    queues: list[str] | dict[str, int]
    concurrency: int
    lease: float
    max_block: float
    grace: float
    poll: float | None
    max_jobs: int
    id: str
    clock: Clock


class Hold:
    """A task that starts, and ends when the test releases it."""

    def __init__(self, app: Aarq, **options: Any) -> None:
        self.started = anyio.Event()
        self.release = anyio.Event()
        self.attempts: list[int] = []
        self.task = app.task(name="hold", **options)(self._body)

    async def _body(self, ctx: dict[str, Any]) -> str:
        self.attempts.append(ctx["attempt"])
        self.started.set()
        await self.release.wait()
        return "ended"


async def drain(app: Aarq, **options: Unpack[Options]) -> None:
    """Run all jobs that are due, and all due jobs that these enqueue."""
    with anyio.fail_after(TIMEOUT):
        await Worker(app, burst=True, handle_signals=False, **options).run()


@asynccontextmanager
async def working(app: Aarq, *, abort: bool = False, **options: Unpack[Options]) -> AsyncGenerator[Worker, None]:
    """Run a worker during the block, and stop it at the end; running jobs may end, unless `abort` is set."""
    worker = Worker(app, handle_signals=False, **options)
    with anyio.fail_after(TIMEOUT):
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            yield worker
            worker.stop()
            if abort:
                worker.stop()


async def settle_down() -> None:
    """Let all other tasks run until they wait for something."""
    for _ in range(100):
        await checkpoint()


async def until(condition: Callable[[], Any]) -> None:
    """Let other tasks run until the condition is true."""
    with anyio.fail_after(TIMEOUT):
        while not condition():
            await checkpoint()


async def next_job_runs(app: Aarq) -> bool:
    """Return whether the worker still runs a harmless job after all jobs before it."""

    @app.task(name="harmless")
    async def harmless(_: object) -> bool:
        return True

    job = await harmless.enqueue()
    await drain(app)
    return await job.result(timeout=5)


async def record_of(broker: Broker, job_id: str, *, queue: str = "default") -> JobRecord:
    """Return the record of a job, which must exist."""
    assert isinstance(broker, JobStore)
    record = await broker.get_job(job_id, queue=queue)
    assert record is not None
    return record


def lease(job_id: str = "j", epoch: int = 1) -> Lease:
    """Return a lease of a job that no broker has."""
    return Lease(
        job_id=job_id, queue="q", epoch=epoch, worker_id="w", task="t", payload=b"",
        attempt=1, crashes=0, priority=5, enqueued_at=0.0,
    )  # fmt: skip


def threads() -> list[str]:
    """Return the names of the threads that aioq has started."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("aioq")]
