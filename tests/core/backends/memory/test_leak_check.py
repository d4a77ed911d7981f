# pyright: reportPrivateUsage=false
"""The leak check of the memory broker finds and names each kind of damage."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aioq.backends import MemoryBroker
from aioq.model.job import ClaimRequest, Completed, NewJob
from tests.memory_layout import leaks_in

Damage = Callable[[MemoryBroker], object]


@pytest.fixture
async def broker(tampered: list[bool]) -> MemoryBroker:
    """A broker with the jobs `running`, `done`, `waiting` (pending) and `later` (scheduled)."""
    tampered.append(True)
    broker = MemoryBroker()
    names = ("running", "done", "waiting", "later")
    await broker.enqueue(
        [NewJob(id=id, task="t", queue="q", payload=b"{}", delay=60.0 * (id == "later")) for id in names]
    )
    claim = await broker.claim(ClaimRequest(worker_id="w", queues=("q",), limit=2, lease=60, request_id="r"))
    await broker.settle([Completed(lease=claim.leases[1], retain_for=60.0)])
    return broker


async def test_leaks_in_undamaged_broker_is_empty(broker: MemoryBroker) -> None:
    """A broker with a job in every collection, and none in two, has no leaks."""
    assert leaks_in(broker) == []


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda b: b._table.queues["q"].ready[5].clear(), "job waiting of queue q is not in the queue and should be"),
        (lambda b: b._table.queues["q"].scheduled.clear(), "job later of queue q is not scheduled and should be"),
        (lambda b: b._table.queues["q"].leased.clear(), "job running of queue q is not leased and should be"),
        (
            lambda b: b._table.queues["q"].crashed.update(waiting=b._table.jobs["q", "waiting"]),
            "job waiting of queue q is in the queue and should not be",
        ),
        (lambda b: b._table.queues["r"].leased.update(a=b._table.jobs["q", "done"]), "job done of queue r is leased and should not be"),
        (lambda b: b._table.queues["q"].counts.clear(), "queue q counts {}"),
        (lambda b: b._table.queues["q"].scheduled.extend(b._table.queues["q"].scheduled * 3), "job later of queue q is scheduled and should not be"),
        (lambda b: b._table.expiry.clear(), "job done has ended and is never forgotten"),
        (lambda b: b._table.waiters._waits["work", "q"], "a waiter for work of q is left"),
    ],
)  # fmt: skip
async def test_leaks_in_damaged_broker_names_the_job(broker: MemoryBroker, damage: Damage, found: str) -> None:
    """The finding names the job and the collection that should hold it."""
    damage(broker)
    assert found in leaks_in(broker)


async def test_leaks_in_heap_of_cancelled_jobs_is_reported(broker: MemoryBroker) -> None:
    """Heap items of cancelled jobs may be as many as the scheduled jobs, and no more."""
    jobs = broker._table.queues["q"]
    jobs.scheduled += [(1.0, n, broker._table.jobs["q", "done"]) for n in range(3)]
    assert leaks_in(broker) == ["queue q has 4 scheduled items, most of cancelled jobs"]
