"""Does what the forms of the pages ask for: each change needs a right, and says what it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException

from aioq.cli.cron.manual import enqueue_ticks, time_between_ticks
from aioq.cron import CronEntry
from aioq.model.cron import CronKey, TickReason
from aioq.model.ids import check_name
from aioq.protocols import JobStore, QueueControl, TickLedger
from aioq_web.access import Right
from aioq_web.text import count_of
from aioq_web.view import NotFound, Page, View

__all__ = ["ACTIONS", "Done", "Order"]

MAX_NOTE: Final = 500
"""Characters of a reason."""

MAX_CHOSEN: Final = 500
"""Jobs that one form may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A form that a user has sent.

    Args:
        view: The request, whose path names what is to be changed.
        form: Its fields.
    """

    view: View
    form: ImmutableMultiDict[str, str]

    @property
    def note(self) -> str:
        """The reason that the user gave."""
        return self.form.get("note", "").strip()[:MAX_NOTE]

    def need(self, right: Right) -> None:
        """Refuse the order unless the user has a right.

        Raises:
            HTTPException: The user has it not.
        """
        if right not in self.view.user.rights:
            raise HTTPException(403, f"{self.view.user.name} may not change {right}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of an order: a page to go to, or a page to show."""

    location: str = ""
    page: Page | None = None


def _store(view: View) -> JobStore:
    store = view.feature(JobStore)
    if store is None:
        raise NotFound("this broker cannot look up or change jobs")
    return store


def _ledger(view: View) -> TickLedger:
    ledger = view.feature(TickLedger)
    if ledger is None:
        raise NotFound("this broker records no ticks")
    return ledger


async def retry_job(order: Order) -> Done:
    """Put an ended job back into its queue."""
    refused = "cannot be put back: it has not ended, or it completed"
    return await _change_job(order, _store(order.view).retry_job, "put back", refused)


async def cancel_job(order: Order) -> Done:
    """Cancel a job."""
    return await _change_job(order, _store(order.view).cancel_job, "cancelled", "has ended already")


async def _change_job(order: Order, change: Callable[..., Awaitable[bool]], did: str, refused: str) -> Done:
    order.need(Right.JOBS)
    view = order.view
    queue, job_id = view.steps["queue"], view.steps["id"]
    changed = await change(job_id, queue=_queue(queue))
    told = f"The job was {did}." if changed else f"The job {refused}."
    return Done(location=view.url("jobs", queue, job_id, told=told))


async def change_jobs(order: Order) -> Done:
    """Retry or cancel the jobs that were chosen in a list."""
    order.need(Right.JOBS)
    store, verb = _store(order.view), order.form.get("verb", "")
    change = {"retry": store.retry_job, "cancel": store.cancel_job}.get(verb)
    if change is None:
        raise HTTPException(400, "choose what to do with the jobs: retry or cancel")
    chosen = [each.partition("/") for each in order.form.getlist("job")][:MAX_CHOSEN]
    changed = sum([await change(job_id, queue=_queue(queue)) for queue, _, job_id in chosen])
    did = "put back" if verb == "retry" else "cancelled"
    left = len(chosen) - changed
    told = f"{count_of(changed, 'job was', 'jobs were')} {did}" + (f", {left} could not be." if left else ".")
    back = {name: order.form[name] for name in ("q", "state", "queue") if order.form.get(name)}
    return Done(location=order.view.url("jobs", **back, told=told))


async def pause_cron(order: Order) -> Done:
    """Pause an entry."""
    key = _key(order)
    new = await _ledger(order.view).pause_cron(key, note=order.note, by=order.view.user.name)
    did = "is paused." if new else "was paused already; the note was replaced."
    return _at_cron(order, key, f"{key.name} {did}")


async def resume_cron(order: Order) -> Done:
    """Resume an entry."""
    key = _key(order)
    resumed = await _ledger(order.view).resume_cron(key)
    return _at_cron(order, key, f"{key.name} is resumed." if resumed else f"{key.name} was not paused.")


async def run_cron(order: Order) -> Done:
    """Enqueue a job of a schedule now."""
    key = _key(order)
    entry = entry_of(order.view, key)
    if entry is None or entry.job is None:
        raise HTTPException(400, f"{key.name} calls a function on its workers; aioq cron run calls it in a terminal")
    broker = order.view.app.broker
    tick = time_between_ticks(entry, datetime.fromtimestamp(await broker.time(), UTC))
    (enqueued,) = await enqueue_ticks(broker, entry, entry.job, [tick], reason=TickReason.BY_HAND)
    return _at_cron(order, key, f"{key.name} runs now as job {enqueued.job.id}.")


async def pause_queue(order: Order) -> Done:
    """Pause a queue."""
    name = _controlled(order)
    new = await _control(order.view).pause_queue(name, note=order.note, by=order.view.user.name)
    did = "is paused." if new else "was paused already; the note was replaced."
    return Done(location=order.view.url("queues", told=f"{name} {did}"))


async def resume_queue(order: Order) -> Done:
    """Resume a queue."""
    name = _controlled(order)
    resumed = await _control(order.view).resume_queue(name)
    return Done(location=order.view.url("queues", told=f"{name} {'is resumed' if resumed else 'was not paused'}."))


def _control(view: View) -> QueueControl:
    control = view.feature(QueueControl)
    if control is None:
        raise NotFound("this broker cannot pause queues")
    return control


def _controlled(order: Order) -> str:
    order.need(Right.QUEUES)
    return _queue(order.view.steps["queue"])


def entry_of(view: View, key: CronKey) -> CronEntry | None:
    """Return the entry of the code with this key."""
    return next((entry for entry in view.app.crons if entry.key == key), None)


def _key(order: Order) -> CronKey:
    order.need(Right.CRONS)
    return CronKey(_queue(order.view.steps["queue"]), order.view.steps["name"])


def _at_cron(order: Order, key: CronKey, told: str) -> Done:
    return Done(location=order.view.url("crons", key.queue, key.name, told=told))


def _queue(name: str) -> str:
    try:
        return check_name("queue", name)
    except ValueError as error:
        raise NotFound(str(error)) from error


ACTIONS: Final = {
    "/jobs": change_jobs,
    "/jobs/{queue}/{id:path}/retry": retry_job,
    "/jobs/{queue}/{id:path}/cancel": cancel_job,
    "/queues/{queue}/pause": pause_queue,
    "/queues/{queue}/resume": resume_queue,
    "/crons/{queue}/{name}/pause": pause_cron,
    "/crons/{queue}/{name}/resume": resume_cron,
    "/crons/{queue}/{name}/run": run_cron,
}
"""The function of each form, by its path."""
