"""Implements `QueueControl` and `ChangeLog` of the memory broker."""

from __future__ import annotations

from collections import deque
from itertools import islice

from aioq.backends.memory.jobs import JobTable, MemoryRole
from aioq.model.changes import MAX_CHANGES, Change, check_change
from aioq.model.stops import MAX_STOPPED, Stop, TooManyStops, check_stop, stop_again

__all__ = ["ChangeLogRole", "QueueControlRole"]


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

    async def stop_task(self, task: str, *, queue: str, note: str, by: str) -> bool:
        """Stop a task; see `aioq.protocols.QueueControl.stop_task`."""
        stop = Stop(queue=queue, task=task, note=note, by=by, since=self._table.now())
        check_stop(stop)
        jobs = self._table.queues[queue]
        if known := jobs.stopped.get(task):
            known.stop = stop_again(known.stop, stop)
            return False
        if len(jobs.stopped) >= MAX_STOPPED:
            raise TooManyStops(queue)
        jobs.stop(stop, task)
        return True

    async def restore_task(self, task: str, *, queue: str) -> bool:
        """Restore a task; see `aioq.protocols.QueueControl.restore_task`."""
        jobs = self._table.queues[queue]
        if task not in jobs.stopped:
            return False
        jobs.restore(task)
        self._table.wake_workers(queue)
        return True

    async def list_stops(self) -> list[Stop]:
        """Return the orders that are in force; see `aioq.protocols.QueueControl.list_stops`."""
        stops: list[Stop] = []
        for _, jobs in sorted(self._table.queues.items()):
            stops += [jobs.pause] if jobs.pause else []
            stops += [jobs.stopped[task].stop for task in sorted(jobs.stopped)]
        return stops


class ChangeLogRole(MemoryRole):
    """Implements `aioq.protocols.ChangeLog`."""

    def __init__(self, table: JobTable) -> None:
        super().__init__(table)
        self._changes: deque[Change] = deque(maxlen=MAX_CHANGES)

    async def note_change(self, change: Change) -> None:
        """Record a change; see `aioq.protocols.ChangeLog.note_change`."""
        check_change(change)
        self._changes.appendleft(change)

    async def list_changes(self, *, limit: int = 100, subject: str | None = None) -> list[Change]:
        """Return the latest changes; see `aioq.protocols.ChangeLog.list_changes`."""
        found = (change for change in self._changes if subject in (None, change.subject))
        return list(islice(found, max(limit, 0)))
