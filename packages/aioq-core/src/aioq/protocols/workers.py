"""Defines the optional protocols about workers: a registry, and leases that a thread extends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from aioq.model.job import Lease
from aioq.model.workers import WorkerInfo

__all__ = ["LeaseKeeper", "ThreadedLeases", "WorkerRegistry"]


@runtime_checkable
class WorkerRegistry(Protocol):
    """A broker that records which workers are up."""

    async def heartbeat(self, worker: WorkerInfo, *, ttl: float) -> None:
        """Record that a worker is up. It is forgotten `ttl` seconds after its last heartbeat."""
        ...

    async def deregister(self, worker_id: str) -> None:
        """Forget a worker now. An unknown id is not an error."""
        ...

    async def list_workers(self) -> list[WorkerInfo]:
        """Return the workers that are up, sorted by id."""
        ...


class LeaseKeeper(Protocol):
    """Extends leases without an event loop, on a connection of its own. Only one thread uses it."""

    def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Do what `Broker.extend` does, blocking the calling thread no longer than the keeper's `timeout`.

        Raises:
            BrokerUnavailable: The store cannot be reached or is not ready; the same call may succeed later.
        """
        ...

    def close(self) -> None:
        """Close the connection. Another thread may call it; a running `extend` then fails."""
        ...


@runtime_checkable
class ThreadedLeases(Protocol):
    """A broker whose leases can be extended from a thread while a task blocks the event loop.

    Without it the worker extends leases in the event loop, and loses the leases of its jobs if a task blocks the
    loop for longer than a lease. A broker inside the event loop does not need it.
    """

    def keeper(self, *, timeout: float = 5.0) -> LeaseKeeper:
        """Return a new lease keeper, which connects on first use. Does not wait.

        Args:
            timeout: Seconds that one extension may take; the worker passes a third of its lease. A connection that is
                silent for that time is replaced.
        """
        ...
