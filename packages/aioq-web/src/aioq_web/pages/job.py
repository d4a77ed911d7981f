"""Shows a job, and why it is not done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aioq.model.changes import MAX_SUBJECT
from aioq.model.ids import read_tick_id
from aioq.model.job import JobRecord
from aioq.model.states import FINAL_STATES, JobState
from aioq.protocols import ChangeLog, JobStore
from aioq_web.charts.life import life_bar, look_of
from aioq_web.text import count_of, duration
from aioq_web.view import NotFound, Page, View

__all__ = ["job"]

CHANGES: Final = 20
"""Changes of a job that its page shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that must be true before the job runs."""

    met: bool | None
    """None if it is not known."""
    text: str


async def job(view: View) -> Page:
    """Show everything that is known of one job."""
    store = view.feature(JobStore)
    queue, job_id = view.steps["queue"], view.steps["id"]
    record = await store.get_job(job_id, queue=queue) if store else None
    if record is None:
        raise NotFound(f"queue {queue} has no job {job_id}: it was never enqueued, or its record has expired")
    log = view.feature(ChangeLog)
    task = view.app.tasks.get(record.task)
    values = {
        "job": record,
        "retries": task.defaults.retries if task else None,
        "life": life_bar(record, view.now),
        "attempts": [(attempt, *look_of(attempt)) for attempt in reversed(record.attempts)],
        "conditions": sorted(_conditions(view, record), key=lambda each: each.met is True),
        "arguments": view.masking.show(record.payload),
        "result": None if record.result is None else view.masking.show(record.result),
        "tick": read_tick_id(job_id),
        "changes": await log.list_changes(limit=CHANGES, subject=f"job {queue} {job_id}"[:MAX_SUBJECT]) if log else [],
        "can_retry": record.state in FINAL_STATES and record.state is not JobState.COMPLETED,
        "can_cancel": record.state not in FINAL_STATES,
    }
    return Page("job.html", record.task or job_id, values)


def _conditions(view: View, record: JobRecord) -> Iterator[Condition]:
    """Yield what must be true before a job that waits can run."""
    if record.state in FINAL_STATES or record.state is JobState.RUNNING:
        return
    if record.run_at is not None and record.run_at > view.now:
        what = "the pause before its retry" if record.state is JobState.RETRYING else "its time"
        yield Condition(met=False, text=f"It waits for {what}: due in {duration(record.run_at - view.now)}.")
    else:
        yield Condition(met=True, text="It is due.")
    for stop in view.snapshot.stops_of(record.queue, record.task):
        what = f"Queue {stop.queue} is paused" if stop.task is None else f"The task {stop.task} is stopped"
        yield Condition(met=False, text=f"{what} by {stop.by}: “{stop.note}”.")
    yield from _of_workers(view, record)


def _of_workers(view: View, record: JobRecord) -> Iterator[Condition]:
    if view.snapshot.workers is None:
        return
    workers = view.snapshot.workers_of(record.queue)
    if not workers:
        yield Condition(met=False, text=f"No worker that is up consumes queue {record.queue}.")
        return
    yield Condition(
        met=True, text=f"{count_of(len(workers), 'worker consumes', 'workers consume')} queue {record.queue}."
    )
    if all(task.name != record.task for worker in workers for task in worker.tasks):
        known = None if any(worker.tasks_left_out for worker in workers) else False
        yield Condition(met=known, text=f"No worker of the queue says that it knows the task {record.task}.")
    else:
        yield Condition(met=True, text="A worker of the queue knows its task.")
    free = sum(worker.concurrency - worker.running for worker in workers)
    yield Condition(met=free > 0, text=f"{count_of(free, 'slot is', 'slots are')} free.")
