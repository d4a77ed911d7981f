"""Pauses, resumes and runs crons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from starlette.exceptions import HTTPException

from aioq.cron import CronEntry
from aioq.cron.manual import EnqueuedTick, enqueue_ticks, time_between_ticks
from aioq.model.cron import CronKey, TickReason
from aioq.protocols import TickLedger
from aioq_web.access import Right
from aioq_web.actions.order import Done, Order, known_queue
from aioq_web.backfill import Span
from aioq_web.text import count_of
from aioq_web.view import View

__all__ = ["backfill_cron", "entry_of", "pause_cron", "resume_cron", "run_cron"]

BATCH: Final = 500
"""Jobs that are enqueued in one call."""

WHAT = "pause crons: it records no ticks"


async def pause_cron(order: Order) -> Done:
    """Pause an entry."""
    key = _key(order)
    new = await order.feature(TickLedger, WHAT).pause_cron(key, note=order.note, by=order.by)
    await order.record("pause", _subject(key))
    did = "is paused." if new else "was paused already; the note was replaced."
    return _done(order, key, f"{key.name} {did}")


async def resume_cron(order: Order) -> Done:
    """Resume an entry."""
    key = _key(order)
    resumed = await order.feature(TickLedger, WHAT).resume_cron(key)
    if resumed:
        await order.record("resume", _subject(key))
    return _done(order, key, f"{key.name} {'is resumed' if resumed else 'was not paused'}.")


async def run_cron(order: Order) -> Done:
    """Enqueue a job of a schedule now."""
    key = _key(order)
    entry = _schedule_of(order, key, "run")
    tick = time_between_ticks(entry, datetime.fromtimestamp(await order.view.app.broker.time(), UTC))
    (enqueued,) = await _enqueue(order, entry, [tick], TickReason.BY_HAND)
    await order.record("run", _subject(key))
    return _done(order, key, f"{key.name} runs now as job {enqueued.job.id}.")


async def backfill_cron(order: Order) -> Done:
    """Enqueue the jobs of a schedule for the ticks of a span in the past that have none."""
    key = _key(order)
    entry = _schedule_of(order, key, "backfill")
    span = Span.of(entry, order.form, order.view.now)
    if span.error or not span.ticks:
        raise HTTPException(400, span.error or f"{key.name} has no tick in this span; nothing was enqueued")
    found: list[EnqueuedTick] = []
    for start in range(0, len(span.ticks), BATCH):
        found += await _enqueue(order, entry, span.ticks[start : start + BATCH], TickReason.BACKFILL)
    new, failed = sum(one.new for one in found), sum(bool(one.error) for one in found)
    if new:
        await order.record(f"backfill {new:,} ticks from {span.first_text} to {span.last_text}", _subject(key))
    known = len(found) - new - failed
    told = f"{count_of(new, 'job was', 'jobs were')} enqueued"
    told += f", {count_of(known, 'tick has', 'ticks have')} one already" if known else ""
    told += f", {failed:,} could not be: {next(one.error for one in found if one.error)}" if failed else ""
    return _done(order, key, f"{told}.")


def _schedule_of(order: Order, key: CronKey, command: str) -> CronEntry:
    """Return the entry of the code whose jobs can be enqueued.

    Raises:
        HTTPException: There is none, or it calls a function.
    """
    entry = entry_of(order.view, key)
    if entry is None or entry.job is None:
        raise HTTPException(
            400, f"{key.name} calls a function on its workers; aioq cron {command} calls it in a terminal"
        )
    return entry


async def _enqueue(order: Order, entry: CronEntry, ticks: Sequence[datetime], reason: TickReason) -> list[EnqueuedTick]:
    """Enqueue the jobs of ticks, and count them."""
    app, template = order.view.app, entry.job
    if template is None:
        return []
    found = await enqueue_ticks(app.broker, entry, template, ticks, reason=reason, by=order.by)
    if app.counts.add_enqueued([one.job for one in found], [one.new for one in found]):
        await app.counts.report()
    return found


def entry_of(view: View, key: CronKey) -> CronEntry | None:
    """Return the entry of the code with this key."""
    return next((entry for entry in view.app.crons if entry.key == key), None)


def _key(order: Order) -> CronKey:
    order.need(Right.CRONS)
    return CronKey(known_queue(order.view.steps["queue"]), order.view.steps["name"])


def _subject(key: CronKey) -> str:
    return f"cron {key.queue} {key.name}"


def _done(order: Order, key: CronKey, told: str) -> Done:
    return Done(order.view.url("crons", key.queue, key.name, told=told))
