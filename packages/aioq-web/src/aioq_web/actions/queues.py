"""Pauses and resumes queues."""

from __future__ import annotations

from aioq.protocols import QueueControl
from aioq_web.access import Right
from aioq_web.actions.order import Done, Order, known_queue

__all__ = ["pause_queue", "resume_queue"]

WHAT = "pause queues"


async def pause_queue(order: Order) -> Done:
    """Pause a queue."""
    order.need(Right.QUEUES)
    name = known_queue(order.view.steps["queue"])
    new = await order.feature(QueueControl, WHAT).pause_queue(name, note=order.note, by=order.by)
    await order.record("pause", f"queue {name}")
    did = "is paused." if new else "was paused already; the note was replaced."
    return Done(order.view.url("queues", told=f"{name} {did}"))


async def resume_queue(order: Order) -> Done:
    """Resume a queue."""
    order.need(Right.QUEUES)
    name = known_queue(order.view.steps["queue"])
    resumed = await order.feature(QueueControl, WHAT).resume_queue(name)
    if resumed:
        await order.record("resume", f"queue {name}")
    return Done(order.view.url("queues", told=f"{name} {'is resumed' if resumed else 'was not paused'}."))
