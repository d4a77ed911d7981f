"""Tasks that go on although they were interrupted: their jobs are settled, their slots are kept and reported."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.from_thread
import pytest

from aioq import Aarq, Job, JobCancelled, JobFailed, Worker
from aioq.errors import TooManyStuck
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from aioq.worker import runner
from aioq.worker.execution import anyio_tasks, asyncio_tasks
from tests.core.brokers import FlakyBroker
from tests.core.rig import drain, record_of, settle_down, until, working


@pytest.fixture(autouse=True)
def short_overrun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give interrupted tasks less time to end."""
    for module in (asyncio_tasks, anyio_tasks, runner):
        monkeypatch.setattr(module, "OVERRUN_AFTER", 0.01)


@pytest.fixture
def gate() -> Generator[threading.Event]:
    """Holds plain functions, at the latest until the end of the test."""
    gate = threading.Event()
    yield gate
    gate.set()


class Deaf:
    """A task that goes on although it is interrupted, until the test releases it."""

    def __init__(self) -> None:
        self.release = anyio.Event()
        self.runs: list[str] = []

    async def shielded(self, ctx: dict[str, Any]) -> None:
        """Wait in a shielded scope."""
        self.runs.append(ctx["worker_id"])
        with anyio.CancelScope(shield=True):
            await self.release.wait()

    async def swallowing(self, ctx: dict[str, Any]) -> None:
        """Swallow every cancellation."""
        self.runs.append(ctx["worker_id"])
        while not self.release.is_set():
            try:
                await self.release.wait()
            except BaseException:
                await anyio.lowlevel.cancel_shielded_checkpoint()


@asynccontextmanager
async def released(deaf: Deaf) -> AsyncGenerator[None]:
    """Release the task at the end of the block: a worker waits for it even if the test has failed."""
    try:
        yield
    finally:
        deaf.release.set()


async def ended(job: Job[Any]) -> None:
    """Wait until a job has failed."""
    with pytest.raises(JobFailed, match="TimeoutError"):
        await job.result(timeout=30)


@pytest.mark.parametrize("kind", ["shielded", "swallowing"])
async def test_overrun_after_timeout_settles_job_and_keeps_slot(app: Aarq, kind: str) -> None:
    """The job fails at its timeout; the slot is taken until the task has ended, and then runs another job."""
    deaf = Deaf()
    stuck = app.task(name="deaf", timeout=0.01)(getattr(deaf, kind))

    @app.task
    async def quick(_: object) -> None: ...

    async with working(app, concurrency=1), released(deaf):
        await ended(await stuck.enqueue())
        waiting = await quick.enqueue()
        await settle_down()
        assert await waiting.state() is JobState.PENDING
        deaf.release.set()
        await waiting.result(timeout=30)


async def test_overrun_result_of_settled_job_is_dropped(app: Aarq) -> None:
    """Whatever the task does after its job was settled is not reported."""
    release = anyio.Event()

    @app.task(timeout=0.01)
    async def late(_: object) -> int:
        with anyio.CancelScope(shield=True):
            await release.wait()
        return 7

    async with working(app) as worker:
        job = await late.enqueue()
        await ended(job)
        release.set()
        worker.stop()
    record = await record_of(app.broker, job.id)
    assert (record.state, record.result) == (JobState.FAILED, None)


async def test_overrun_retry_runs_on_another_worker_only(app: Aarq) -> None:
    """While the task goes on, its worker gives the retry back without using up an attempt."""
    deaf = Deaf()
    task = app.task(name="deaf", timeout=0.01, retries=1, retry_delay=0)(deaf.shielded)
    async with working(app, id="w1", concurrency=2), released(deaf):
        job = await task.enqueue()
        await until_state(job, JobState.SCHEDULED)
        record = await job.info()
        assert record is not None
        assert (deaf.runs, record.attempt) == (["w1"], 1)
        await job.cancel()
        deaf.release.set()


async def until_state(job: Job[Any], state: JobState) -> None:
    """Wait until a job has a state."""
    with anyio.fail_after(30):
        while await job.state() is not state:
            await anyio.sleep(0.005)


async def test_overrun_of_cancelled_job_keeps_slot(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """A cancelled job is `cancelled` at once, and its lease is not extended any more."""
    deaf = Deaf()
    task = app.task(name="deaf")(deaf.swallowing)
    async with working(app, concurrency=1) as worker, released(deaf):
        job = await task.enqueue()
        await until(lambda: deaf.runs)
        assert await job.cancel()
        with pytest.raises(JobCancelled):
            await job.result(timeout=30)
        with anyio.fail_after(30):
            while worker._leases:  # pyright: ignore[reportPrivateUsage]
                await anyio.sleep(0.005)
        assert worker._slots.free == 0  # pyright: ignore[reportPrivateUsage]
        deaf.release.set()
    assert "reported too late" not in caplog.text


@pytest.mark.parametrize("plain", [False, True], ids=["async", "def"])
async def test_overrun_is_logged_counted_and_reported(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture, gate: threading.Event, plain: bool
) -> None:
    """After 5 seconds and then every minute a warning names the job with its stack; the worker's record counts it."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    deaf = Deaf()
    started = anyio.Event()

    def blocked(_: object) -> None:
        anyio.from_thread.run_sync(started.set)
        gate.wait(60)

    task = app.task(name="deaf", timeout=None if plain else 0.01)(blocked if plain else deaf.shielded)
    async with working(app, clock=clock, concurrency=2) as worker, released(deaf):
        job = await task.enqueue()
        if plain:  # no timeout, which might be over before the thread has started
            await started.wait()
            await job.cancel()
        await until_state(job, JobState.CANCELLED if plain else JobState.FAILED)
        await until(lambda: worker._overruns._overruns)  # pyright: ignore[reportPrivateUsage]
        await clock.advance(4)
        assert "goes on" not in caplog.text
        await clock.advance(1)
        (record,) = [record for record in caplog.records if "goes on" in record.getMessage()]
        assert record.levelno == logging.WARNING
        assert record.getMessage().startswith(
            f"job {job.id} of deaf goes on, 5 s after it was interrupted because "
            f"{'it was cancelled' if plain else 'its timeout is over'}: 1 of 2 slots are stuck; "
        )
        assert vars(record)["job_id"] == job.id
        assert ("in blocked\n" if plain else "in shielded\n") in str(record.stack_info)
        assert "aioq/worker/" not in str(record.stack_info)
        await clock.advance(10)
        (info,) = await broker.list_workers()
        assert (info.stuck, [(run.job_id, run.task, run.stuck) for run in info.runs]) == (1, [(job.id, "deaf", True)])
        await clock.advance(51)
        assert caplog.text.count("goes on, ") == 2
        gate.set()
        deaf.release.set()
        with anyio.fail_after(30):
            while worker._slots.taken:  # pyright: ignore[reportPrivateUsage]
                await anyio.sleep(0.005)
        assert f"job {job.id} of deaf has ended, 66 s after it was interrupted; its slot is free" in caplog.messages
        await clock.advance(10)
        (info,) = await broker.list_workers()
        assert (info.stuck, info.runs) == (0, ())


async def test_overrun_threads_are_as_many_as_slots(app: Aarq, gate: threading.Event) -> None:
    """A thread whose job has timed out keeps its slot, so that no further thread is started."""
    started: list[int] = []

    @app.task(timeout=0.01)
    def hang(_: object, number: int) -> None:
        started.append(number)
        gate.wait(60)

    jobs = await hang.enqueue_many([hang.call(number) for number in range(100)])
    async with working(app, concurrency=3, abort=True):
        for number in range(3):
            await until(lambda: len(started) > number)  # noqa: B023  # it is called within the same round
            await ended(jobs[started[number]])
        await anyio.sleep(0.1)
        assert len(started) == 3
        gate.set()
        await until(lambda: len(started) > 3)


@pytest.mark.parametrize("limit", [1, None])
async def test_overrun_limit_makes_worker_leave(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture, gate: threading.Event, limit: int | None
) -> None:
    """With `max_stuck` stuck slots, by default all of them, the worker drains and raises `TooManyStuck`."""
    app = Aarq(FlakyBroker(clock=clock))

    started: list[int] = []

    @app.task
    def hang(_: object, number: int) -> None:
        started.append(number)
        gate.wait(60)

    worker = Worker(app, handle_signals=False, clock=clock, concurrency=2, max_stuck=limit, id="w1")
    left: list[TooManyStuck] = []

    async def run() -> None:
        with pytest.raises(TooManyStuck) as caught:
            await worker.run()
        left.append(caught.value)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        jobs = [await hang.enqueue(number) for number in range(limit or 2)]
        await until(lambda: len(started) == len(jobs))
        for job in jobs:
            await job.cancel()
        await until(lambda: worker._overruns._overruns[len(jobs) - 1 :])  # pyright: ignore[reportPrivateUsage]
        await clock.advance(4)
        assert not left
        await clock.advance(1)
        await until(lambda: left)
    assert str(left[0]).startswith(f"worker w1 has left: {limit or 2} of its 2 slots are held by tasks")
    assert left[0].stuck == (limit or 2)


@pytest.mark.parametrize("value", [0, 3, "1"])
def test_worker_max_stuck_out_of_range_is_rejected(app: Aarq, value: Any) -> None:
    """The limit is between one and all slots."""
    with pytest.raises((TypeError, ValueError), match="^max_stuck must be"):
        Worker(app, concurrency=2, max_stuck=value)


async def test_overrun_burst_ends_without_it(app: Aarq, gate: threading.Event) -> None:
    """A burst does not wait for a thread whose job has ended, if it has other slots."""
    returned = threading.Event()

    @app.task(timeout=0.01)
    def hang(_: object) -> None:
        gate.wait(60)
        returned.set()

    job = await hang.enqueue()
    await drain(app, concurrency=2)
    assert not returned.is_set()
    await ended(job)
