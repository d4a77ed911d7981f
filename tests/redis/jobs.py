"""Jobs and claims in few words."""

from __future__ import annotations

from itertools import count

from aioq.job import ClaimRequest, Failure, Lease, NewJob
from aioq.protocols import Broker

__all__ = ["FAILURE", "claim", "job", "lease_of", "let_pass", "request"]

FAILURE = Failure("ValueError", "nope", "Traceback: nope")

_requests = count(1)


def job(id: str, queue: str = "q", **changes: object) -> NewJob:
    """Return a job."""
    fields: dict[str, object] = {"id": id, "task": "tasks.work", "queue": queue, "payload": b"{}", **changes}
    return NewJob(**fields)  # type: ignore[arg-type]  # a test's own keywords


def request(
    limit: int = 10, *, queues: tuple[str, ...] = ("q",), worker: str = "w1", lease: float = 60.0
) -> ClaimRequest:
    """Return a request that was never made before."""
    return ClaimRequest(
        worker_id=worker, queues=queues, limit=limit, lease=lease, request_id=f"request-{next(_requests)}"
    )


async def claim(broker: Broker, limit: int = 10, *, worker: str = "w1", lease: float = 60.0) -> list[Lease]:
    """Claim jobs of queue `q`."""
    return (await broker.claim(request(limit, worker=worker, lease=lease))).leases


async def lease_of(broker: Broker, id: str = "a", **changes: object) -> Lease:
    """Enqueue a job and claim it."""
    await broker.enqueue([job(id, **changes)])
    (lease,) = await claim(broker, 1)
    return lease


async def let_pass(broker: Broker, seconds: float) -> None:
    """Return when time has passed on the server's clock."""
    end = await broker.time() + seconds
    while await broker.time() < end:
        pass
