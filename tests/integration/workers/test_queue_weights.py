"""A worker process shares its slots among busy queues by their weights, on a real server."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import anyio
import pytest

from aioq import Aarq, JobContext
from aioq.backends import RedisBroker
from aioq.model.queue_weights import longest_wait
from tests.integration.workers.conftest import StartWorker

WORK = """
async def work(ctx) -> None:
    emit("ran", queue=ctx["queue"])
    await anyio.sleep(0.001)

for queue in ("critical", "default", "low"):
    app.task(name=queue, queue=queue)(work)
"""
WEIGHTS = {"critical": 6, "default": 3, "low": 1}
SLOTS = 5


async def work(ctx: JobContext) -> None:
    """Stand for the tasks of the worker."""
    raise NotImplementedError


@pytest.fixture
def enqueue(redis_url: str, namespace: str) -> Callable[[Mapping[str, int]], None]:
    """Return a function that enqueues a number of jobs in each queue."""

    async def enqueue_all(counts: Mapping[str, int]) -> None:
        app = Aarq(RedisBroker(redis_url, namespace=namespace))
        async with app:
            for queue, count in counts.items():
                task = app.task(name=queue, queue=queue)(work)
                await task.enqueue_many([task.call() for _ in range(count)])

    return lambda counts: anyio.run(enqueue_all, counts)


def test_busy_queue_does_not_starve_a_small_one(
    start_worker: StartWorker, write_tasks: Callable[[str], None], enqueue: Callable[[Mapping[str, int]], None]
) -> None:
    """Of 5,000 jobs of a queue of a large weight, few start before each of 20 jobs of one of a small weight."""
    write_tasks(WORK)
    enqueue({"critical": 5_000, "low": 20})
    options = [word for queue, weight in WEIGHTS.items() for word in ("-q", f"{queue}={weight}")]
    worker = start_worker(*options, "-c", str(SLOTS), "--log-jobs", "none")
    worker.wait_for('"queue": "low"', times=20)
    places = [at for at, ran in enumerate(worker.events("ran")) if ran["queue"] == "low"]
    gaps = [later - earlier - 1 for earlier, later in zip([-1, *places], places, strict=False)]
    assert max(gaps) <= longest_wait(WEIGHTS, "low", slots=SLOTS)
    # Without jobs in `default`, the two share by 6 and 1.
    assert places[-1] == pytest.approx(20 * 7, abs=7 + 2 * SLOTS)


def test_order_without_weights_is_strict(
    start_worker: StartWorker, write_tasks: Callable[[str], None], enqueue: Callable[[Mapping[str, int]], None]
) -> None:
    """No job of a later queue starts while one of an earlier queue waits."""
    write_tasks(WORK)
    enqueue({"critical": 300, "low": 20})
    worker = start_worker("-q", "critical", "-q", "low", "-c", str(SLOTS), "--burst", "--log-jobs", "none")
    worker.wait()
    queues = [ran["queue"] for ran in worker.events("ran")]
    assert len(queues) == 320
    assert queues.index("low") >= 300 - SLOTS
