"""Shows a job, and why it is not done."""

from __future__ import annotations

import json
from typing import Final

from aioq.model.changes import MAX_SUBJECT
from aioq.model.ids import read_tick_id
from aioq.model.waiting import conditions_of
from aioq.protocols import ChangeLog, JobStore
from aioq_web.actions.change import VERBS
from aioq_web.charts.life import life_bar, look_of
from aioq_web.view import NotFound, Page, View

__all__ = ["job"]

CHANGES: Final = 20
"""Changes of a job that its page shows."""


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
        "conditions": conditions_of(record, now=view.now, stops=view.snapshot.stops, workers=view.snapshot.workers),
        "arguments": view.masking.show(record.payload),
        "headers": view.masking.show(json.dumps(dict(record.headers)).encode()) if record.headers else None,
        "result": None if record.result is None else view.masking.show(record.result),
        "tick": read_tick_id(job_id),
        "changes": await log.list_changes(limit=CHANGES, subject=f"job {queue} {job_id}"[:MAX_SUBJECT]) if log else [],
        "can_retry": record.state in VERBS["retry"].states,
        "can_cancel": record.state in VERBS["cancel"].states,
    }
    return Page("job.html", record.task or job_id, values)
