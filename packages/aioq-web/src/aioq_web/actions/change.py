"""Retries and cancels jobs as a client does, so that the counts and the listeners of the app know it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from aioq import Aarq, Job
from aioq.model.job import JobRecord
from aioq.model.states import FINAL_STATES, JobState
from aioq.model.statistics import JobOutcome
from aioq.protocols import JobStore
from aioq_web.parallel import in_parallel

__all__ = ["VERBS", "Verb", "change", "change_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """What may be done to a job."""

    name: str
    done: str
    """What a job was if it was changed."""
    states: frozenset[JobState]
    """The states in which it can be done."""


VERBS: Final = {
    each.name: each
    for each in (
        Verb(name="retry", done="put back", states=FINAL_STATES - {JobState.COMPLETED} | {JobState.RETRYING}),
        Verb(name="cancel", done="cancelled", states=frozenset(JobState) - FINAL_STATES),
    )
}
"""The verbs by name."""


async def change(app: Aarq, store: JobStore, verb: Verb, record: JobRecord, *, by: str) -> bool:
    """Change one job; False if it is in a state in which it cannot be."""
    if verb.name == "cancel":
        handle = Job(
            record.id, task=record.task, queue=record.queue, broker=app.broker, decode=bytes, events=app.events
        )
        return await handle.cancel(by=by)
    retried = await store.retry_job(record.id, queue=record.queue)
    if retried and record.state is not JobState.RETRYING:
        app.counts.add(record.queue, record.task, JobOutcome.ENQUEUED)
    return retried


async def change_all(
    app: Aarq, store: JobStore, verb: Verb, records: Sequence[JobRecord], *, by: str
) -> list[JobRecord]:
    """Change many jobs; return those that were changed."""
    done = await in_parallel(partial(change, app, store, verb, record, by=by) for record in records)
    return [record for record, changed in zip(records, done, strict=True) if changed]
