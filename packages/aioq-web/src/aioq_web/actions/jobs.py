"""Retries and cancels jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.exceptions import HTTPException

from aioq.protocols import JobStore
from aioq_web.access import Right
from aioq_web.actions.order import Done, Order, known_queue
from aioq_web.text import count_of

__all__ = ["cancel_job", "change_jobs", "retry_job"]

MAX_CHOSEN: Final = 500
"""Jobs that one form may name."""

WHAT: Final = "look up or change jobs"


async def retry_job(order: Order) -> Done:
    """Put an ended job back into its queue."""
    change = order.feature(JobStore, WHAT).retry_job
    return await _change(order, change, "retry", ("was put back", "cannot be put back: it has not ended, or completed"))


async def cancel_job(order: Order) -> Done:
    """Cancel a job."""
    change = order.feature(JobStore, WHAT).cancel_job
    return await _change(order, change, "cancel", ("was cancelled", "has ended already"))


async def _change(order: Order, change: Callable[..., Awaitable[bool]], verb: str, told: tuple[str, str]) -> Done:
    order.need(Right.JOBS)
    queue, job_id = known_queue(order.view.steps["queue"]), order.view.steps["id"]
    changed = await change(job_id, queue=queue)
    if changed:
        await order.record(verb, f"job {queue} {job_id}")
    return Done(order.view.url("jobs", queue, job_id, told=f"The job {told[0] if changed else told[1]}."))


async def change_jobs(order: Order) -> Done:
    """Retry or cancel the jobs that were chosen in a list."""
    order.need(Right.JOBS)
    store, verb = order.feature(JobStore, WHAT), order.form.get("verb", "")
    change = {"retry": store.retry_job, "cancel": store.cancel_job}.get(verb)
    if change is None:
        raise HTTPException(400, "choose what to do with the jobs: retry or cancel")
    chosen = [each.partition("/") for each in order.form.getlist("job")]
    if len(chosen) > MAX_CHOSEN:
        raise HTTPException(
            400, f"a form may name {MAX_CHOSEN} jobs, and this one names {len(chosen):,}; nothing was changed"
        )
    changed = 0
    for queue, _, job_id in chosen:
        if await change(job_id, queue=known_queue(queue)):
            changed += 1
            await order.record(verb, f"job {queue} {job_id}")
    did = "put back" if verb == "retry" else "cancelled"
    left = len(chosen) - changed
    told = f"{count_of(changed, 'job was', 'jobs were')} {did}" + (f", {left} could not be." if left else ".")
    back = {name: order.form[name] for name in ("q", "state", "queue") if order.form.get(name)}
    return Done(order.view.url("jobs", **back, told=told))
