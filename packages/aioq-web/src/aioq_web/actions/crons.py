"""Pauses, resumes and runs crons."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.exceptions import HTTPException

from aioq.cron import CronEntry
from aioq.cron.manual import enqueue_ticks, time_between_ticks
from aioq.model.cron import CronKey, TickReason
from aioq.protocols import TickLedger
from aioq_web.access import Right
from aioq_web.actions.order import Done, Order, known_queue
from aioq_web.view import View

__all__ = ["entry_of", "pause_cron", "resume_cron", "run_cron"]

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
    entry = entry_of(order.view, key)
    if entry is None or entry.job is None:
        raise HTTPException(400, f"{key.name} calls a function on its workers; aioq cron run calls it in a terminal")
    broker = order.view.app.broker
    tick = time_between_ticks(entry, datetime.fromtimestamp(await broker.time(), UTC))
    (enqueued,) = await enqueue_ticks(broker, entry, entry.job, [tick], reason=TickReason.BY_HAND, by=order.by)
    await order.record("run", _subject(key))
    return _done(order, key, f"{key.name} runs now as job {enqueued.job.id}.")


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
