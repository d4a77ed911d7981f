"""A worker whose task is cancelled from outside, as by a web framework or a timeout."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq, Retry, Worker
from aioq.model.states import JobState
from tests.core.brokers import FlakyBroker
from tests.core.rig import Hold, record_of, until


async def test_cancelled_worker_releases_its_jobs(app: Aarq, hold: Hold, broker: FlakyBroker) -> None:
    """A cancelled worker releases its jobs at once, without a failure."""
    async with anyio.create_task_group() as tg:
        tg.start_soon(Worker(app, handle_signals=False).run)
        job = await hold.task.enqueue()
        await hold.started.wait()
        tg.cancel_scope.cancel()
    record = await record_of(broker, job.id)
    assert (record.state, record.attempt, record.failure) == (JobState.PENDING, 0, None)
    assert await broker.list_workers() == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_worker_cancelled_by_asyncio_releases_its_jobs(app: Aarq, hold: Hold, broker: FlakyBroker) -> None:
    """`Task.cancel` of asyncio has the same effect."""
    task = asyncio.create_task(Worker(app, handle_signals=False).run())
    job = await hold.task.enqueue()
    await hold.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    record = await record_of(broker, job.id)
    assert (record.state, record.attempt, record.failure) == (JobState.PENDING, 0, None)
    assert await broker.list_workers() == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_worker_inside_asyncio_timeout_ends(app: Aarq, hold: Hold, broker: FlakyBroker) -> None:
    """`asyncio.timeout` around `run` ends the worker."""
    job = await hold.task.enqueue()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await Worker(app, handle_signals=False).run()
    assert (await record_of(broker, job.id)).state is JobState.PENDING


@pytest.mark.parametrize("error", [ValueError("interrupted"), Retry(), SystemExit()])
async def test_cancelled_worker_releases_task_that_raises(app: Aarq, broker: FlakyBroker, error: BaseException) -> None:
    """A task that raises because it was cancelled is released, not failed."""
    started = anyio.Event()

    @app.task
    async def sore(_: object) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            raise error from None

    async with anyio.create_task_group() as tg:
        tg.start_soon(Worker(app, handle_signals=False).run)
        job = await sore.enqueue()
        await started.wait()
        tg.cancel_scope.cancel()
    record = await record_of(broker, job.id)
    assert (record.state, record.attempt, record.failure) == (JobState.PENDING, 0, None)


async def test_cancelled_worker_reports_ended_jobs(app: Aarq, broker: FlakyBroker) -> None:
    """Outcomes of jobs that had ended are written, although the settler is cancelled."""
    broker.go_down("settle")

    @app.task
    async def work(_: object) -> str:
        return "done"

    async with anyio.create_task_group() as tg:
        tg.start_soon(Worker(app, handle_signals=False).run)
        job = await work.enqueue()
        await until(lambda: broker.calls["settle"])
        broker.come_up()
        tg.cancel_scope.cancel()
    assert await job.result(timeout=5) == "done"


async def test_cancelled_worker_leaves_lifespan_after_jobs(app: Aarq) -> None:
    """A cancelled worker leaves its lifespan, after the jobs have ended."""
    events: list[str] = []
    started = anyio.Event()

    @asynccontextmanager
    async def lifespan(_: Aarq) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            events.append("lifespan")

    app.lifespan = lifespan

    @app.task
    async def work(_: object) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            events.append("job")

    async with anyio.create_task_group() as tg:
        tg.start_soon(Worker(app, handle_signals=False).run)
        await work.enqueue()
        await started.wait()
        tg.cancel_scope.cancel()
    assert events == ["job", "lifespan"]
