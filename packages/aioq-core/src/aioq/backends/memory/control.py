"""Implements `QueueControl` of the memory broker: paused queues."""

from __future__ import annotations

from aioq.backends.memory.jobs import MemoryRole
from aioq.model.stops import Stop, check_stop, stop_again

__all__ = ["QueueControlRole"]


class QueueControlRole(MemoryRole):
    """Implements `aioq.protocols.QueueControl`."""

    async def pause_queue(self, queue: str, *, note: str, by: str) -> bool:
        """Pause a queue; see `aioq.protocols.QueueControl.pause_queue`."""
        stop = Stop(queue=queue, note=note, by=by, since=self._table.now())
        check_stop(stop)
        jobs = self._table.queues[queue]
        before = jobs.pause
        jobs.pause = stop_again(before, stop)
        return before is None

    async def resume_queue(self, queue: str) -> bool:
        """Resume a queue; see `aioq.protocols.QueueControl.resume_queue`."""
        jobs = self._table.queues[queue]
        before = jobs.pause
        jobs.pause = None
        self._table.waiters.wake("work", queue)
        return before is not None

    async def list_stops(self) -> list[Stop]:
        """Return the orders that are in force; see `aioq.protocols.QueueControl.list_stops`."""
        return [jobs.pause for _, jobs in sorted(self._table.queues.items()) if jobs.pause]
