"""Replays and dismisses the failures of a cause."""

from __future__ import annotations

from starlette.exceptions import HTTPException

from aioq.model.failures import Cause
from aioq.model.statistics import JobOutcome
from aioq.protocols import Failures
from aioq.protocols.failures import failure_pages
from aioq_web.access import Right
from aioq_web.actions.order import Done, Order, known_queue
from aioq_web.text import count_of

__all__ = ["change_failures"]


async def change_failures(order: Order) -> Done:
    """Replay or dismiss the failures of one cause that were listed when the page was made."""
    order.need(Right.JOBS)
    store, verb = order.feature(Failures, "list failures"), order.form.get("verb", "")
    queue = known_queue(order.view.steps["queue"])
    if verb not in ("replay", "dismiss"):
        raise HTTPException(400, "choose what to do with the failures: replay or dismiss")
    cause = Cause(order.form.get("task", ""), order.form.get("type", ""), order.form.get("place", ""))
    done = 0
    async for batch in failure_pages(store, queue, cause, until=order.number("until")):
        ids = [record.failure_id for record in batch]
        if verb == "replay":
            for record, replayed in zip(batch, await store.replay_failures(ids, queue=queue), strict=True):
                done += replayed
                if replayed:
                    order.view.app.counts.add(queue, record.task, JobOutcome.ENQUEUED)
        else:
            done += await store.dismiss_failures(ids, queue=queue)
    if done:
        await order.record(f"{verb} {done} of {cause.type}"[:200], f"task {queue} {cause.task}"[:300])
    did = "put back" if verb == "replay" else "dismissed"
    return Done(order.view.url("failures", told=f"{count_of(done, 'job was', 'jobs were')} {did}."))
