# pyright: reportPrivateUsage=false
"""The search for leaks in a memory broker: each way in which one may go wrong is found, and named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aioq.backends import MemoryBroker
from aioq.model.job import ClaimRequest, Completed, NewJob
from tests.memory_layout import leaks_in

Damage = Callable[[MemoryBroker], object]


@pytest.fixture
async def broker(tampered: list[bool]) -> MemoryBroker:
    """A broker with jobs that are `running`, `done`, `waiting` in line and put off until `later`."""
    tampered.append(True)
    broker = MemoryBroker()
    names = ("running", "done", "waiting", "later")
    await broker.enqueue(
        [NewJob(id=id, task="t", queue="q", payload=b"{}", delay=60.0 * (id == "later")) for id in names]
    )
    claim = await broker.claim(ClaimRequest(worker_id="w", queues=("q",), limit=2, lease=60, request_id="r"))
    await broker.settle([Completed(lease=claim.leases[1], retain_for=60.0)])
    return broker


async def test_a_sound_broker_has_no_leak(broker: MemoryBroker) -> None:
    """Jobs in every place, none of them in two."""
    assert leaks_in(broker) == []


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda b: b._store.lines["q"].ready[5].clear(), "job waiting of queue q is not in line, and should be"),
        (lambda b: b._store.lines["q"].later.clear(), "job later of queue q is not put off, and should be"),
        (lambda b: b._store.lines["q"].leased.clear(), "job running of queue q is not leased, and should be"),
        (
            lambda b: b._store.lines["q"].suspects.update(waiting=b._store.jobs["waiting"]),
            "job waiting of queue q is in line, and should not be",
        ),
        (lambda b: b._store.lines["r"].leased.update(a=b._store.jobs["done"]), "job done of queue r is leased, and should not be"),
        (lambda b: b._store.lines["q"].counts.clear(), "queue q counts {}"),
        (lambda b: b._store.lines["q"].later.extend(b._store.lines["q"].later * 3), "job later of queue q is put off, and should not be"),
        (lambda b: b._store.expiry.clear(), "job done has ended and is kept for ever"),
        (lambda b: b._wakes._waiting["work", "q"], "somebody waits for work of q still"),
    ],
)  # fmt: skip
async def test_damage_is_found(broker: MemoryBroker, damage: Damage, found: str) -> None:
    """The finding names the job, and where it should be."""
    damage(broker)
    assert found in leaks_in(broker)


async def test_moments_of_jobs_that_were_called_off_are_bounded(broker: MemoryBroker) -> None:
    """They may be as many as the jobs that are put off, and not more."""
    line = broker._store.lines["q"]
    line.later += [(1.0, n, broker._store.jobs["done"]) for n in range(3)]
    assert leaks_in(broker) == ["queue q keeps 4 moments, most of jobs that were called off"]
