"""Shows the queues, and whether jobs flow through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aioq.model.job import QueueStats, WorkerInfo
from aioq.model.stops import Stop
from aioq_web.view import Page, View

__all__ = ["QueueRow", "queue_rows", "queues"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One queue, with the workers that consume it."""

    stats: QueueStats
    workers: Sequence[WorkerInfo]
    pause: Stop | None = None
    """Who paused it, and why."""

    @property
    def orphaned(self) -> bool:
        """Whether jobs wait and no worker consumes the queue."""
        return not self.workers and self.stats.pending + self.stats.scheduled > 0

    @property
    def state(self) -> tuple[str, str, str]:
        """The class, the icon and the word of the state."""
        if self.pause is not None:
            return "paused", "paused", "paused"
        if self.orphaned:
            return "failed", "failures", "no worker"
        if not self.workers:
            return "pending", "pending", "no worker"
        if self.stats.pending and all(worker.running >= worker.concurrency for worker in self.workers):
            return "retrying", "queues", "all slots taken"
        return "ok", "completed", "flows"


async def queues(view: View) -> Page:
    """Show every queue that has held a job."""
    rows = queue_rows(view)
    waiting = sum(row.stats.pending for row in rows)
    return Page(
        "queues.html",
        "Queues",
        {
            "rows": rows,
            "waiting": waiting,
            "kept": view.snapshot.queues is not None,
            "stoppable": view.snapshot.stops is not None,
        },
    )


def queue_rows(view: View) -> list[QueueRow]:
    """Return a row for each queue: those that nothing consumes first, then by name."""
    stats = view.snapshot.queues or ()
    rows = [
        QueueRow(
            stats=each,
            workers=view.snapshot.workers_of(each.queue),
            pause=next(iter(view.snapshot.stops_of(each.queue)), None),
        )
        for each in stats
    ]
    return sorted(rows, key=lambda row: (not row.orphaned, row.stats.queue))
