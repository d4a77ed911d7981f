"""A worker whose queues have weights: busy queues share its slots, and nothing changes without weights."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from aioq import Aarq, Worker
from aioq.backends import MemoryBroker
from aioq.model.job import Claim, ClaimRequest
from aioq.model.queue_weights import longest_wait
from aioq.testing import VirtualClock
from tests.core.rig import Hold, drain, until, working

SHOP = {"critical": 6, "default": 3, "low": 1}


class Recorder(MemoryBroker):
    """Keeps the requests of the worker."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self.requests: list[ClaimRequest] = []

    async def claim(self, request: ClaimRequest) -> Claim:
        """Note the request, and claim."""
        self.requests.append(request)
        return await super().claim(request)


@pytest.fixture
def recorder(clock: VirtualClock) -> Recorder:
    """A broker that is new."""
    return Recorder(clock)


@pytest.fixture
def ran() -> list[tuple[str, int]]:
    """The queue and the number of each job, in the order in which they ran."""
    return []


@pytest.fixture
def shop(recorder: Recorder, ran: list[tuple[str, int]]) -> Aarq:
    """An app with a task for each queue, named like it."""
    app = Aarq(recorder)

    async def work(ctx: Any, n: int) -> None:
        ran.append((ctx["queue"], n))

    for queue in SHOP:
        app.task(name=queue, queue=queue)(work)
    return app


async def enqueue(app: Aarq, queue: str, count: int, **options: Any) -> None:
    """Enqueue jobs of the task."""
    work = {task.name: task for task in app.tasks}[queue].options(**options)
    await app.enqueue_many([work.call(n) for n in range(count)])


@pytest.mark.parametrize("concurrency", [1, 4, 10])
async def test_busy_queues_share_the_slots(shop: Aarq, ran: list[tuple[str, int]], concurrency: int) -> None:
    """While all have jobs, each gets its part; then the others take over, and each job runs once."""
    for queue in SHOP:
        await enqueue(shop, queue, 200)
    await drain(shop, queues=SHOP, concurrency=concurrency)
    first = Counter(queue for queue, _ in ran[:300])
    assert {queue: first[queue] for queue in SHOP} == {
        queue: pytest.approx(30 * weight, abs=len(SHOP) + 2 * concurrency) for queue, weight in SHOP.items()
    }
    assert Counter(ran).most_common(1)[0][1] == 1
    assert Counter(queue for queue, _ in ran) == dict.fromkeys(SHOP, 200)


async def test_queue_of_large_weight_does_not_starve_others(shop: Aarq, ran: list[tuple[str, int]]) -> None:
    """The jobs of a queue of the smallest weight start within the bound, one after the other."""
    await enqueue(shop, "critical", 500)
    await enqueue(shop, "low", 5)
    await drain(shop, queues=SHOP, concurrency=10)
    places = [at for at, (queue, _) in enumerate(ran) if queue == "low"]
    gaps = [later - earlier for earlier, later in zip([-1, *places], places, strict=False)]
    assert max(gaps) <= 1 + longest_wait(SHOP, "low", slots=10)


async def test_priorities_stay_within_a_queue(shop: Aarq, ran: list[tuple[str, int]]) -> None:
    """Of one queue the jobs of a higher priority run first, and those of a priority in their order."""
    await enqueue(shop, "low", 10, priority=1)
    await enqueue(shop, "low", 10, priority=9)
    await enqueue(shop, "critical", 100)
    await drain(shop, queues=SHOP, concurrency=1)
    assert [n for queue, n in ran if queue == "low"] == [*range(10), *range(10)]
    assert [n for queue, n in ran if queue == "critical"] == [*range(100)]


async def test_without_weights_queues_go_in_their_order(shop: Aarq, recorder: Recorder) -> None:
    """Each request names them in this order, and is for all free slots."""
    for queue in SHOP:
        await enqueue(shop, queue, 5)
    await drain(shop, queues=list(SHOP), concurrency=15)
    assert {request.queues for request in recorder.requests} == {tuple(SHOP)}
    assert recorder.requests[0].limit == 15


async def test_empty_worker_with_free_slots_runs_no_job_as_the_only_one(shop: Aarq, recorder: Recorder) -> None:
    """A request of an empty worker for one job means that the job runs alone, and a crash would be its own."""
    random.seed(5)
    for queue in SHOP:
        await enqueue(shop, queue, 30)
    await drain(shop, queues=SHOP, concurrency=2)
    limits = [(request.limit, request.running) for request in recorder.requests]
    assert (2, 0) in limits
    assert any(limit == 1 for limit, running in limits if running)
    assert (1, 0) not in limits


async def test_weighted_worker_waits_for_jobs_of_any_queue(recorder: Recorder, clock: VirtualClock) -> None:
    """An idle worker starts a job of the smallest weight at once, and reports its weights."""
    app = Aarq(recorder)
    hold = Hold(app, queue="low")
    async with working(app, queues=SHOP, id="w1"):
        await until(lambda: bool(recorder.requests))
        await hold.task.enqueue()
        await hold.started.wait()
        await clock.advance(10)
        (info,) = await recorder.list_workers()
        assert (info.queues, info.weights) == (tuple(SHOP), (6, 3, 1))
        hold.release.set()


@pytest.mark.parametrize("queues", [{"critical": 0}, {"critical": 1.5}, {"critical": 2_000}, {}])
def test_bad_weights_are_rejected(shop: Aarq, queues: Any) -> None:
    """The message names the queue, or says that there is none."""
    with pytest.raises(ValueError, match="^(the weight of queue critical must be|queues must name)"):
        Worker(shop, queues=queues)
