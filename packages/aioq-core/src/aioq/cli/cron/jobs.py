"""The jobs of a schedule, enqueued by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from aioq.cli.person import hand_of, person
from aioq.cron import CronEntry
from aioq.errors import JobConflict
from aioq.ids import tick_id
from aioq.job import NewJob
from aioq.protocols import Broker, TickLedger
from aioq.ticks import TickRecord, TickStatus

__all__ = ["Stored", "between_ticks", "enqueue_ticks", "job_of"]

MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What became of the wish for the job of a tick."""

    tick: datetime
    job: NewJob
    new: bool
    """False when there was such a job before; it was left as it stood."""
    error: str = ""
    """Why there is no such job."""


def between_ticks(entry: CronEntry, moment: datetime) -> datetime:
    """Return a moment in whole milliseconds, about the one given, that is no tick of the entry."""
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    while entry.schedule.next_after(moment - MILLISECOND) == moment:
        moment += MILLISECOND
    return moment


def job_of(entry: CronEntry, template: NewJob, tick: datetime) -> NewJob:
    """Return the job of a tick."""
    return replace(template, id=tick_id(entry.name, tick.timestamp()))


async def enqueue_ticks(
    broker: Broker, entry: CronEntry, template: NewJob, ticks: Sequence[datetime], *, why: str
) -> list[Stored]:
    """Enqueue a job for each tick in one go, and write the new ones down where there is a ledger."""
    jobs = [job_of(entry, template, tick) for tick in ticks]
    try:
        new = await broker.enqueue(jobs)
    except JobConflict as error:
        if len(jobs) == 1:
            text = f"{error.job_id} is known with another task or other arguments"
            return [Stored(tick=ticks[0], job=jobs[0], new=False, error=text)]
        alone = [await enqueue_ticks(broker, entry, template, [tick], why=why) for tick in ticks]
        return [stored for (stored,) in alone]
    stored = [Stored(tick=tick, job=job, new=is_new) for tick, job, is_new in zip(ticks, jobs, new, strict=True)]
    await _record(broker, entry, [one for one in stored if one.new], why)
    return stored


async def _record(broker: Broker, entry: CronEntry, stored: Sequence[Stored], why: str) -> None:
    if not isinstance(broker, TickLedger) or not stored:
        return
    now, hand = await broker.time(), hand_of(person())
    await broker.record_ticks(
        [
            TickRecord(
                name=entry.name,
                queue=entry.queue,
                tick=one.tick.timestamp(),
                status=TickStatus.FIRED,
                why=why,
                worker_id=hand,
                fired_at=now,
                job_id=one.job.id,
            )
            for one in stored
        ]
    )
