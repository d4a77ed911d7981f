"""Makes jobs, claims and conditions for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

from aioq.model.job import ClaimRequest, Expired, Failure, Lease, NewJob
from aioq.protocols import Broker
from aioq_redis import RedisBroker

__all__ = ["FAILURE", "claim", "job", "late", "lease_of", "let_pass", "request", "until", "work_of"]

FAILURE = Failure("ValueError", "nope", "Traceback: nope")

_requests = count(1)


def job(id: str, queue: str = "q", **changes: Any) -> NewJob:
    """Return a job."""
    fields: dict[str, Any] = {"id": id, "task": "tasks.work", "queue": queue, "payload": b"{}", **changes}
    return NewJob(**fields)


def request(
    limit: int = 10, *, queues: tuple[str, ...] = ("q",), worker: str = "w1", lease: float = 60.0
) -> ClaimRequest:
    """Return a request with a new id."""
    return ClaimRequest(
        worker_id=worker, queues=queues, limit=limit, lease=lease, request_id=f"request-{next(_requests)}"
    )


async def claim(broker: Broker, limit: int = 10, *, worker: str = "w1", lease: float = 60.0) -> list[Lease]:
    """Claim jobs of queue `q`."""
    return (await broker.claim(request(limit, worker=worker, lease=lease))).leases


async def work_of(broker: RedisBroker, *queues: str, timeout: float = 30.0, worker: str = "w1") -> list[str]:
    """Wait and claim repeatedly, as a worker does; return the ids of the first jobs, or none after `timeout`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        left = deadline - loop.time()
        asked = request(queues=queues or ("q",), worker=worker)
        claimed = await broker.wait_and_claim(asked, timeout=max(left, 0.01))
        if claimed.leases or left <= 0:
            return [lease.job_id for lease in claimed.leases]


async def lease_of(broker: Broker, id: str = "a", **changes: Any) -> Lease:
    """Enqueue a job to queue `q` and claim it."""
    await broker.enqueue([job(id, **changes)])
    (lease,) = await claim(broker, 1)
    return lease


def late(lease: Lease) -> Expired:
    """Return the settlement of a job that was not started in time."""
    return Expired(lease=lease, failure=Failure("Expired", "1 s too late"))


async def let_pass(broker: Broker, seconds: float) -> None:
    """Return when time has passed on the server's clock."""
    end = await broker.time() + seconds
    while await broker.time() < end:
        pass


async def until(condition: Callable[[], object]) -> None:
    """Return when a condition holds that has no event, such as the state of the server."""
    async with asyncio.timeout(10):
        while not condition():  # there is no event to wait for
            await asyncio.sleep(0)
