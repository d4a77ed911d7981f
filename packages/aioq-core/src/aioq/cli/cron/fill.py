"""The work of a backfill: ticks of the past, fired one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from typing import Literal

from aioq.app import Aarq
from aioq.cli.cron.byhand import ByHand
from aioq.cli.cron.jobs import Stored, enqueue_ticks
from aioq.cron import CronEntry, upcoming
from aioq.cron.steps import INSTANT
from aioq.job import NewJob
from aioq.ticks import TickStatus

__all__ = ["Filled", "fill", "ticks_between"]

BATCH = 500
"""Jobs that are enqueued in one round trip."""

BACKFILL = "backfill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What became of one tick."""

    tick: datetime
    status: Literal["ok", "failed", "enqueued", "known"]
    error: str = ""
    job_id: str | None = None


def ticks_between(entry: CronEntry, first: datetime, last: datetime, *, most: int) -> list[datetime]:
    """Return the ticks of an entry from `first` to `last`, both included; up to one more than `most`."""
    ticks = takewhile(lambda tick: tick <= last, upcoming(entry.schedule, first - INSTANT))
    return list(islice(ticks, most + 1))


async def fill(app: Aarq, entry: CronEntry, ticks: Sequence[datetime], tell: Callable[[Filled], None]) -> None:
    """Fire ticks in order, and tell what became of each: a cron's function runs here, a schedule's job is enqueued."""
    if entry.job is None:
        await _call(app, entry, ticks, tell)
    else:
        await _enqueue(app, entry, entry.job, ticks, tell)


async def _call(app: Aarq, entry: CronEntry, ticks: Sequence[datetime], tell: Callable[[Filled], None]) -> None:
    hand = ByHand(app, entry, why=BACKFILL)
    async with hand.ready():
        for tick in ticks:
            record = (await hand.fire(tick)).record
            tell(Filled(tick=tick, status="ok" if record.status is TickStatus.OK else "failed", error=record.error))


async def _enqueue(
    app: Aarq, entry: CronEntry, template: NewJob, ticks: Sequence[datetime], tell: Callable[[Filled], None]
) -> None:
    for start in range(0, len(ticks), BATCH):
        for stored in await enqueue_ticks(app.broker, entry, template, ticks[start : start + BATCH], why=BACKFILL):
            tell(_filled(stored))


def _filled(stored: Stored) -> Filled:
    status: Literal["failed", "enqueued", "known"] = "failed" if stored.error else "enqueued" if stored.new else "known"
    return Filled(tick=stored.tick, status=status, error=stored.error, job_id=stored.job.id)
