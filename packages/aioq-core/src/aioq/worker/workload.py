"""Counts the slots of a worker, one for each running job, and holds leases until their outcomes are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import anyio

from aioq.model.job import JobKey, Lease

__all__ = ["LeaseTable", "Slots"]


class Slots:
    """Counts the free slots, and wakes the tasks that wait for one."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.free = total
        self.unawaited = 0
        """Slots for which `wait_idle` does not wait, because their tasks are stuck."""
        self._changed: anyio.Event | None = None
        self._idle: anyio.Event | None = None

    @property
    def taken(self) -> int:
        """The number of running jobs."""
        return self.total - self.free

    def take(self) -> None:
        """Take a free slot."""
        self.free -= 1

    def release(self) -> None:
        """Free a slot."""
        self.free += 1
        if self._changed is not None:
            self.wake()
        if self._idle is not None and self.free == self.total:
            # An event cannot be cleared: the next wait gets a new one.
            self._idle.set()
            self._idle = None

    def wake(self) -> None:
        """Make every waiting task check again whether it has to wait."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def idle(self) -> anyio.Event | None:
        """Return an event that is set once every slot is free; None if they are."""
        if self._idle is None and self.free < self.total:
            self._idle = anyio.Event()
        return self._idle

    async def wait_free(self, unless: Callable[[], bool]) -> None:
        """Wait until a slot is free, or until `unless` is true at a `wake`."""
        while not self.free and not unless():
            await self._wait_for_change()

    def give_up_waiting(self) -> None:
        """Make `wait_idle` ignore one of the slots that are taken."""
        self.unawaited += 1
        self.wake()

    async def wait_idle(self) -> None:
        """Wait until every slot is free or stuck."""
        while self.taken > self.unawaited:
            await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        # The waiting task makes the event: one for each job that ends would cost 3 us.
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()


class LeaseTable:
    """Leases by job. The heartbeat extends those that are in it; the worker releases the rest when it stops."""

    def __init__(self) -> None:
        self._held: dict[JobKey, Lease] = {}
        self._emptied = anyio.Event()
        self._filled: anyio.Event | None = None

    def add(self, leases: Iterable[Lease]) -> None:
        """Add leases that were claimed."""
        # A job that is claimed again replaces its lost lease: only the newest epoch can be extended.
        for lease in leases:
            self._held[lease.queue, lease.job_id] = lease
        if self._filled is not None:
            self._filled.set()
            self._filled = None

    def drop(self, lease: Lease) -> None:
        """Remove a lease, unless the job has been claimed again since."""
        # Not by epoch: after a failover that lost a claim, a second claim may have given this worker the same epoch.
        key = lease.queue, lease.job_id
        if self._held.get(key) is not lease:
            return
        del self._held[key]
        if not self._held:
            self._emptied.set()
            self._emptied = anyio.Event()

    def all(self) -> list[Lease]:
        """Return every lease held. Other threads may call this."""
        # No lock: the event loop changes the table for every job, and would pay for a lock each time; this retry is
        # rare.
        while True:
            try:
                return list(self._held.values())
            except RuntimeError:  # the event loop added or removed one meanwhile
                continue

    async def wait_held(self) -> None:
        """Wait until a lease is held."""
        if not self._held:
            self._filled = anyio.Event()
            await self._filled.wait()

    async def wait_empty(self) -> None:
        """Wait until no lease is held."""
        while self._held:
            await self._emptied.wait()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, lease: Lease) -> bool:
        held = self._held.get((lease.queue, lease.job_id))
        return held is not None and held.epoch == lease.epoch
