"""Enqueues jobs of a schedule at the request of a person: for now, or for ticks of the past."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from aioq.conformance import supports
from aioq.cron.entry import CronEntry, upcoming
from aioq.cron.steps import INSTANT
from aioq.errors import JobConflict
from aioq.model.cron import TickReason, TickRecord, TickStatus
from aioq.model.ids import tick_id
from aioq.model.job import NewJob
from aioq.protocols import Broker, TickLedger

__all__ = ["EnqueuedTick", "enqueue_ticks", "manual_worker_id", "ticks_between", "time_between_ticks"]

MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueuedTick:
    """The result of enqueueing the job of one tick."""

    tick: datetime
    job: NewJob
    new: bool
    """False if the tick had a job already, which is unchanged."""
    error: str = ""
    """Why the job could not be enqueued."""


def time_between_ticks(entry: CronEntry, time: datetime) -> datetime:
    """Return `time` in whole milliseconds, or the next millisecond that is not a tick of the entry.

    A job that a user enqueues must not have the id of a tick, or the tick would get no job of its own.
    """
    time = time.replace(microsecond=time.microsecond // 1000 * 1000)
    while entry.schedule.next_after(time - MILLISECOND) == time:
        time += MILLISECOND
    return time


def ticks_between(entry: CronEntry, first: datetime, last: datetime, *, most: int) -> list[datetime]:
    """Return the ticks of an entry from `first` to `last`, both included; if there are more than `most`, `most` + 1."""
    # `upcoming` excludes its start, and `first` belongs to the ticks.
    return upcoming(entry.schedule, first - INSTANT, most + 1, until=last)


async def enqueue_ticks(
    broker: Broker, entry: CronEntry, template: NewJob, ticks: Sequence[datetime], *, reason: TickReason, by: str
) -> list[EnqueuedTick]:
    """Enqueue a job for each tick in one call, and record the new ones if there is a ledger.

    Args:
        broker: The broker.
        entry: The schedule.
        template: Its job; each tick gets an id of its own.
        ticks: The ticks.
        reason: The reason of the records.
        by: The person that orders it, for the records.
    """
    jobs = [replace(template, id=tick_id(entry.name, tick.timestamp())) for tick in ticks]
    if entry.sign is not None:
        jobs = [entry.sign(job) for job in jobs]
    try:
        new = await broker.enqueue(jobs)
    except JobConflict as error:
        if len(jobs) == 1:
            text = f"job {error.job_id} exists with another task or other arguments"
            return [EnqueuedTick(tick=ticks[0], job=jobs[0], new=False, error=text)]
        # A call stores all jobs or none: repeat it for each tick, so that the others are stored.
        alone = [await enqueue_ticks(broker, entry, template, [tick], reason=reason, by=by) for tick in ticks]
        return [enqueued for (enqueued,) in alone]
    enqueued = [
        EnqueuedTick(tick=tick, job=job, new=is_new) for tick, job, is_new in zip(ticks, jobs, new, strict=True)
    ]
    # A known job has a record of its own, which this one would replace.
    await _record_jobs(broker, entry, [one for one in enqueued if one.new], reason=reason, by=by)
    return enqueued


async def _record_jobs(
    broker: Broker, entry: CronEntry, enqueued: Sequence[EnqueuedTick], *, reason: TickReason, by: str
) -> None:
    ledger = broker
    if not supports(ledger, TickLedger) or not enqueued:
        return
    now = await broker.time()
    worker_id = manual_worker_id(by)
    records = [
        TickRecord(
            name=entry.name,
            queue=entry.queue,
            tick=one.tick.timestamp(),
            status=TickStatus.FIRED,
            reason=reason,
            worker_id=worker_id,
            fired_at=now,
            job_id=one.job.id,
        )
        for one in enqueued
    ]
    await ledger.record_ticks(records)


def manual_worker_id(user: str) -> str:
    """Return the worker id under which runs of a user are recorded."""
    return re.sub(r"[^A-Za-z0-9_.@-]", "-", f"by-hand-{user}")[:200]
