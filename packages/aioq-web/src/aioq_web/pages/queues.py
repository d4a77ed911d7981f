"""Shows the queues, and whether jobs flow through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from typing import Final

from aioq.model.flow import FULL_MINUTES, Flow, flows
from aioq.model.job import QueueStats
from aioq.model.states import JobState
from aioq.model.statistics import Step
from aioq.model.stops import Stop
from aioq.model.workers import WorkerInfo
from aioq.protocols import JobStore
from aioq_web.history import Range
from aioq_web.paging import slice_of
from aioq_web.parallel import in_parallel
from aioq_web.view import Page, View

__all__ = ["QueueRow", "queue_rows", "queues"]

ROWS: Final = 50
MINUTES: Final = Range("minutes of rates", Step.MINUTE, FULL_MINUTES + 1)
HOURS: Final = Range("hours of histograms", Step.HOUR, 2)
"""Two hours: the running one may just have begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One queue, with the workers that consume it."""

    stats: QueueStats
    workers: Sequence[WorkerInfo]
    pause: Stop | None = None
    """Who paused it, and why."""
    flow: Flow = field(default_factory=Flow)
    waited: float | None = None
    """Seconds that its next job has been due; None if no job waits, or if it was not asked."""

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
    """Show the queues that have held a job."""
    text = view.query.get("q", "").strip()
    found = [row for row in queue_rows(view) if text.lower() in row.stats.queue.lower()]
    shown = slice_of(view, found, ROWS)
    return Page(
        "queues.html",
        "Queues",
        {
            "rows": await _with_flow(view, shown.items),
            "slice": shown,
            "text": text,
            "waiting": sum(row.stats.pending for row in found),
            "kept": view.snapshot.queues is not None,
            "stoppable": view.snapshot.stops is not None,
        },
    )


async def _with_flow(view: View, rows: Sequence[QueueRow]) -> list[QueueRow]:
    """Return rows with what was counted of their queues, and with the time that their next jobs have waited."""
    minutes = await view.histories.counts(MINUTES, view.now)
    hours = await view.histories.counts(HOURS, view.now)
    found = flows(minutes or (), hours or (), view.now, attrgetter("queue"))
    waits = await in_parallel(partial(_waited, view, row.stats) for row in rows)
    return [
        replace(row, flow=found.get(row.stats.queue, Flow()), waited=waited)
        for row, waited in zip(rows, waits, strict=True)
    ]


async def _waited(view: View, stats: QueueStats) -> float | None:
    """Return the seconds that the job which a worker gets next has been due; None if none waits."""
    store = view.feature(JobStore)
    if store is None or not stats.pending:
        return None
    read = partial(store.list_jobs, stats.queue, JobState.PENDING, limit=1)
    jobs = await view.read(("next of", stats.queue), read)
    return max(0.0, view.now - max(jobs[0].run_at or 0.0, jobs[0].enqueued_at)) if jobs else None


def queue_rows(view: View) -> list[QueueRow]:
    """Return a row for each queue: those that nothing consumes first, then by name."""
    stats = view.snapshot.queues or ()
    rows = [
        QueueRow(
            stats=each,
            workers=view.snapshot.workers_of(each.queue),
            pause=view.snapshot.pause_of(each.queue),
        )
        for each in stats
    ]
    return sorted(rows, key=lambda row: (not row.orphaned, row.stats.queue))
