"""Optional protocols of a broker about workers: a registry, and leases extended from a thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from aioq.model.job import Lease, WorkerInfo

__all__ = ["LeaseKeeper", "ThreadedLeases", "WorkerRegistry"]


@runtime_checkable
class WorkerRegistry(Protocol):
    """A broker that knows which workers are up."""

    async def heartbeat(self, worker: WorkerInfo, *, ttl: float) -> None:
        """Say that a worker is up; it is forgotten `ttl` seconds after its last heartbeat."""
        ...

    async def deregister(self, worker_id: str) -> None:
        """Forget a worker now. Unknown ids are fine."""
        ...

    async def list_workers(self) -> list[WorkerInfo]:
        """Return the workers that are up, sorted by id."""
        ...


class LeaseKeeper(Protocol):
    """Extends leases without an event loop, on a connection of its own. One thread uses it."""

    def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Do what `Broker.extend` does, while the calling thread waits: for 5 s at most.

        Raises:
            BrokerUnavailable: The store cannot be reached or is not ready; the same call may succeed later.
        """
        ...

    def close(self) -> None:
        """Let go of the connection. Another thread may call it; an `extend` under way then fails."""
        ...


@runtime_checkable
class ThreadedLeases(Protocol):
    """A broker whose leases can be extended from a thread, while a task blocks the event loop.

    Without it they are extended in the loop, and a task that blocks it for longer than a lease
    loses its own. A broker that lives in the event loop itself has no need of it.
    """

    def keeper(self) -> LeaseKeeper:
        """Return a new one; it connects when it is first used. Does not wait."""
        ...
