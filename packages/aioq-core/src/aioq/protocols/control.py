"""Defines the optional protocols of a broker that obeys a person, and of one that records what persons do."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from aioq.model.changes import Change
from aioq.model.stops import Stop

__all__ = ["ChangeLog", "QueueControl"]


@runtime_checkable
class QueueControl(Protocol):
    """A broker that a person can tell to claim no job of a queue, or of a task. `aioq queues pause` needs it.

    An order is decided in the claim, so it counts for all workers from the moment at which its call returns. It is
    stored until it is taken back. It changes nothing else: running jobs go on and are settled, extended and reaped, new
    jobs are stored, and the jobs that wait stay `pending`, can be cancelled, and are in all lists and counts.
    """

    async def pause_queue(self, queue: str, *, note: str, by: str) -> bool:
        """Pause a queue; False if it was paused already, which then gets the new note.

        1. A claim takes no job of the queue, and names the queue in `Claim.paused`. A repeated request still gets the
           leases that it was given before.
        2. A new job in the queue wakes no worker; with `Signals`, `resume_queue` wakes those that wait.
        3. The due time of a scheduled job may pass. `Claim.next_due` leaves the queue out.

        Raises:
            ValueError: The name of the queue is invalid, `note` has more than `MAX_NOTE` characters of
                `aioq.model.stops`, or `by` more than `MAX_AUTHOR`.
        """
        ...

    async def resume_queue(self, queue: str) -> bool:
        """Resume a paused queue; False if it was not paused."""
        ...

    async def stop_task(self, task: str, *, queue: str, note: str, by: str) -> bool:
        """Stop a task in one queue; False if it was stopped already, which then gets the new note.

        1. A claim takes no job of the task. It takes those of other tasks in their order, also if a million jobs of
           the task come before them: a broker sets jobs aside, so that each is met once.
        2. No worker makes room for a suspect of the task.

        Raises:
            ValueError: As in `pause_queue`, or because of the name of the task.
            TooManyStops: `MAX_STOPPED` tasks of the queue are stopped.
        """
        ...

    async def restore_task(self, task: str, *, queue: str) -> bool:
        """Restore a stopped task; False if it was not stopped.

        Its jobs are in the order of their priorities and ages, in front of other jobs of their priority that came
        after the stop. With `Signals` it wakes waiting workers. It takes no longer if many jobs wait.
        """
        ...

    async def list_stops(self) -> list[Stop]:
        """Return the orders that are in force, sorted by queue, and of a queue its pause before its tasks."""
        ...


@runtime_checkable
class ChangeLog(Protocol):
    """A broker that records what persons have changed. Commands that change something note it."""

    async def note_change(self, change: Change) -> None:
        """Record a change. Of more than `MAX_CHANGES` of `aioq.model.changes`, the oldest are forgotten.

        Raises:
            ValueError: A text of it is too long, or one is empty that must not be.
        """
        ...

    async def list_changes(self, *, limit: int = 100, subject: str | None = None) -> list[Change]:
        """Return the latest changes, the newest first; only those of `subject`, if one is given."""
        ...
