"""Retries and cancels jobs."""

from __future__ import annotations

from functools import partial
from typing import Final

from starlette.exceptions import HTTPException

from aioq.model.job import JobRecord
from aioq.protocols import JobStore
from aioq_web.access import Right
from aioq_web.actions.change import VERBS, Verb, change, change_all
from aioq_web.actions.order import Done, Order, known_queue
from aioq_web.parallel import in_parallel
from aioq_web.search import MOST_CHANGED, Search, chosen_queues, filter_of
from aioq_web.text import count_of
from aioq_web.view import NotFound

__all__ = ["cancel_job", "change_jobs", "change_matching", "retry_job"]

MAX_CHOSEN: Final = 500
"""Jobs that one form may name."""

WHAT: Final = "look up or change jobs"


async def retry_job(order: Order) -> Done:
    """Let a job run again, or bring its retry forward."""
    return await _change(order, VERBS["retry"], "cannot be put back: it waits, runs or has completed")


async def cancel_job(order: Order) -> Done:
    """Cancel a job."""
    return await _change(order, VERBS["cancel"], "has ended already")


async def _change(order: Order, verb: Verb, refused: str) -> Done:
    order.need(Right.JOBS)
    store = order.feature(JobStore, WHAT)
    queue, job_id = known_queue(order.view.steps["queue"]), order.view.steps["id"]
    record = await store.get_job(job_id, queue=queue)
    if record is None:
        raise NotFound(f"queue {queue} has no job {job_id}")
    changed = await change(order.view.app, store, verb, record, by=order.by)
    if changed:
        await order.record(verb.name, f"job {queue} {job_id}")
    return Done(order.view.url("jobs", queue, job_id, told=f"The job {f'was {verb.done}' if changed else refused}."))


async def change_jobs(order: Order) -> Done:
    """Retry or cancel the jobs that were chosen in a list."""
    order.need(Right.JOBS)
    store, verb = order.feature(JobStore, WHAT), _verb(order)
    chosen = [each.partition("/") for each in order.form.getlist("job")]
    if len(chosen) > MAX_CHOSEN:
        raise HTTPException(
            400, f"a form may name {MAX_CHOSEN} jobs, and this one names {len(chosen):,}; nothing was changed"
        )
    looked_up = await in_parallel(
        partial(store.get_job, job_id, queue=known_queue(queue)) for queue, _, job_id in chosen
    )
    changed = await change_all(
        order.view.app, store, verb, [record for record in looked_up if record is not None], by=order.by
    )
    for record in changed:
        await order.record(verb.name, f"job {record.queue} {record.id}")
    told = _told(verb, changed, len(chosen) - len(changed))
    return Done(order.view.url("jobs", **_filter_fields(order), told=told))


async def change_matching(order: Order) -> Done:
    """Retry or cancel the jobs that match a filter, up to `MOST_CHANGED` with one form."""
    order.need(Right.JOBS)
    store, verb = order.feature(JobStore, WHAT), _verb(order)
    wanted = filter_of(order.form)
    queues, left_out = chosen_queues(order.view.snapshot.queues or (), wanted)
    found, more = await Search(store, queues, wanted).matching(verb.states, MOST_CHANGED, order.number("until"))
    changed = await change_all(order.view.app, store, verb, found, by=order.by)
    if changed:
        await order.record(f"{verb.name} {len(changed):,} jobs", f"jobs {wanted.in_words or 'of all queues'}")
    fields, told = _filter_fields(order), _told(verb, changed, len(found) - len(changed))
    if more or left_out:
        told += " More may match: go on here."
        return Done(order.view.url("jobs", "change", verb=verb.name, **fields, told=told))
    return Done(order.view.url("jobs", **fields, told=told))


def _verb(order: Order) -> Verb:
    if (verb := VERBS.get(order.form.get("verb", ""))) is None:
        raise HTTPException(400, "choose what to do with the jobs: retry or cancel")
    return verb


def _told(verb: Verb, changed: list[JobRecord], left: int) -> str:
    done = f"{count_of(len(changed), 'job was', 'jobs were')} {verb.done}"
    return done + (f", {left:,} could not be." if left else ".")


def _filter_fields(order: Order) -> dict[str, str]:
    return {name: order.form[name] for name in ("q", "state", "queue") if order.form.get(name)}
