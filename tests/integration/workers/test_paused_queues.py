"""A queue that is paused while two workers empty it, and resumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import anyio

from aioq import Aarq, JobContext, JobState
from aioq.backends import RedisBroker
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import TIMEOUT

WORK = """
@app.task(name="work")
async def work(ctx) -> None:
    emit("ran", job_id=ctx["job_id"])
    await anyio.sleep(0.002)
"""
BATCH = 100


async def work(ctx: JobContext) -> None:
    """Stand for the task of the workers."""
    raise NotImplementedError


def test_pause_under_load_starts_no_job_until_resumed(
    start_worker: StartWorker, write_tasks: Callable[[str], None], redis_url: str, namespace: str
) -> None:
    """Two busy workers claim no job between the pause and the resume; then each job runs once."""
    write_tasks(WORK)
    workers = [start_worker("--concurrency", "5"), start_worker("--concurrency", "5")]
    broker = RedisBroker(redis_url, namespace=namespace)
    app = Aarq(broker)
    task = app.task(name="work")(work)
    moments: list[float] = []

    async def pause_and_resume() -> None:
        async with app:
            for _ in range(3):
                await task.enqueue_many([task.call() for _ in range(BATCH)])
            await anyio.to_thread.run_sync(workers[0].wait_for_event, "ran")
            await broker.pause_queue("default", note="", by="test")
            (stop,) = await broker.list_stops()
            await task.enqueue_many([task.call() for _ in range(BATCH)])
            for worker in workers:
                await anyio.to_thread.run_sync(worker.wait_for, "queue default is paused")
            waiting = (await broker.queue_stats())[0].pending
            moments.extend((stop.since, await broker.time()))
            assert (await broker.queue_stats())[0].pending == waiting >= BATCH
            await broker.resume_queue("default")
            with anyio.fail_after(TIMEOUT):
                while len(records := await broker.list_jobs("default", JobState.COMPLETED, limit=9999)) < 4 * BATCH:
                    await anyio.sleep(0.01)
        paused, resumed = moments
        starts = [record.started_at or 0.0 for record in records]
        assert not [start for start in starts if paused < start < resumed]
        assert [record.attempt for record in records] == [1] * 4 * BATCH

    anyio.run(pause_and_resume)
    ran = Counter(event["job_id"] for worker in workers for event in worker.events("ran"))
    assert (len(ran), set(ran.values())) == (4 * BATCH, {1})
