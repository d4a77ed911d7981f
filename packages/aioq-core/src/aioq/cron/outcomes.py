"""Completes the records of ticks with the states of their jobs, and says why a tick has its status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from aioq.conformance import supports
from aioq.cron.misfire import MAX_COUNTED
from aioq.model.cron import CronStatus, TickRecord, TickStatus
from aioq.model.job import JobRecord
from aioq.model.states import FINAL_STATES, JobState
from aioq.protocols import Broker, JobStore
from aioq.serialization.failure import in_full, one_line

__all__ = ["reason_text", "with_job_state", "with_job_states", "with_lost_run"]

MAX_ERROR: Final = 60
"""Characters of an error that a list shows."""


async def with_job_states(broker: Broker, records: Sequence[TickRecord]) -> list[TickRecord]:
    """Return records; those that are `fired` get the states of their jobs, because the ledger may not know them yet."""
    if not supports(broker, JobStore):
        return list(records)
    return [
        with_job_state(record, await broker.get_job(record.job_id, queue=record.queue))
        if record.status is TickStatus.FIRED and record.job_id
        else record
        for record in records
    ]


def with_job_state(record: TickRecord, job: JobRecord | None) -> TickRecord:
    """Return the record of a tick with the state of its job; None means that the broker has no such job."""
    if job is None:
        # Not failed: the record of a job that succeeded expires, too.
        return replace(record, reason="its job has expired")
    if job.state not in FINAL_STATES:
        return replace(record, reason=f"job {job.state}")
    ended = replace(record, finished_at=job.finished_at)
    match job.state:
        case JobState.COMPLETED:
            return replace(ended, status=TickStatus.OK)
        case JobState.FAILED if job.failure:
            return replace(ended, status=TickStatus.FAILED, error=in_full(job.failure))
        case JobState.DEAD if job.reason:
            return replace(ended, status=TickStatus.FAILED, error=f"job dead: {job.reason}")
        case _:
            return replace(ended, status=TickStatus.FAILED, error=f"job {job.state}")


def with_lost_run(record: TickRecord, status: CronStatus) -> TickRecord:
    """Return the latest record of an entry, with the reason `no sign of life` if the worker of its run has vanished.

    That is only known of entries that fire once per fleet. Runs by hand have a reason, and a job has its own lease.
    """
    extended = status.definition.unique and record.status is TickStatus.FIRED and not (record.job_id or record.reason)
    return replace(record, reason="no sign of life") if extended and status.running is None else record


def reason_text(record: TickRecord) -> str:
    """Return a short reason for the status of a tick; empty if there is none."""
    count = ""
    if record.count > 1:
        count = f"{record.count:,} ticks{' or more' if record.count >= MAX_COUNTED else ''}"
    return ", ".join(text for text in (record.reason, count, one_line(record.error, MAX_ERROR)) if text)
