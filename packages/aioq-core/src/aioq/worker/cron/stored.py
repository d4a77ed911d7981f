"""Fires the schedules that the broker stores: asks for those that are due, decides, and tells the broker what to do.

A worker holds none of them between two calls. The broker reserves what it returns, so that the workers of a fleet share
schedules that are due together. A firing is one step of the broker, which does nothing if another worker was faster: a
worker that dies, or whose answer is lost, leaves the schedule due.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import anyio
from msgspec.structs import replace

from aioq.app import Aarq
from aioq.clock import BrokerClock
from aioq.cron.stored import SharedEntries, read_job
from aioq.errors import BadSignature, PartlyUnavailable
from aioq.events import TickEvent
from aioq.model.cron import CronKey, Overlap, TickClaim, TickOutcome, TickReason, TickRecord
from aioq.model.firing import RECORDED
from aioq.model.ids import tick_id
from aioq.model.job import NewJob
from aioq.model.schedules import DueSchedules, Firing, ScheduleRecord
from aioq.protocols import Schedules
from aioq.serialization.failure import error_text
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.cron.owed_ticks import OwedTicks, TickPlan
from aioq.worker.cron.tick_events import TickEvents
from aioq.worker.log import logger, shown
from aioq.worker.runtime import Runtime

__all__ = ["StoredSchedules"]

BATCH_SIZE = 400
"""Schedules that are reserved and fired at a time. Jobs of the worker run between two batches: with small batches,
many due schedules would wait for the jobs of those before them. A batch blocks the event loop for some 10 ms."""

RESERVATION = 5.0
"""Seconds for which a schedule is reserved. So much later another worker fires it if this one dies."""

CALL_TIMEOUT = 4.0
"""Seconds for which a call is protected from cancellation: a stop would leave what it reserved to the others, later."""

MAX_WAIT = 60.0
"""Seconds after which a worker asks again, whatever the broker has said: a clock may be set."""

POSTPONED = 60.0
"""Seconds for which a schedule is put off that this worker cannot read: one of another release may."""


class StoredSchedules:
    """Asks the broker for due schedules, and fires them, until cancelled."""

    def __init__(self, runtime: Runtime, store: Schedules, clock: BrokerClock, events: TickEvents) -> None:
        self._events = events
        self._app: Aarq = runtime.app
        self._worker_id = runtime.worker_id
        self._queues = runtime.queues
        self._retry: BrokerRetry = runtime.retry
        self._store = store
        self._clock = clock
        self._entries = SharedEntries(self._app.scheduler)
        self._started_at = math.inf
        """The broker's time at the first reservation."""
        self._unreadable: set[tuple[str, str]] = set()
        """Names and revisions of schedules that were logged as unreadable."""

    async def run(self) -> None:
        """Fire due schedules until cancelled."""
        tasks = frozenset(task.name for task in self._app.tasks)
        if not tasks:
            return
        while True:
            due = await self._retry.call(partial(self._fire_due, tasks))
            if due.next_due is None or due.next_due > 0:
                wait = MAX_WAIT if due.next_due is None else min(due.next_due, MAX_WAIT)
                await self._retry.call(partial(self._store.wait_for_schedules, self._queues, tasks, timeout=wait))

    async def _fire_due(self, tasks: frozenset[str]) -> DueSchedules:
        """Reserve due schedules and fire them. If that fails they are due again when the reservation ends."""
        # Not divided by a stop: what is reserved would come up with the other workers only seconds later.
        with anyio.fail_after(CALL_TIMEOUT, shield=True):
            due = await self._reserve(tasks)
            return await self._fire(due) if due.schedules else due

    async def _fire(self, due: DueSchedules) -> DueSchedules:
        """Fire reserved schedules; return the answer with the time until one of them is due again, if that is less."""
        owed = OwedTicks(due.now, started_at=self._started_at)
        firings = [firing for record in due.schedules if (firing := self._firing(record, owed))]
        if firings:
            outcomes = await self._store.fire_schedules(firings)
            _warn_of_declared(firings, outcomes)
            for firing, outcome in zip(firings, outcomes, strict=True):
                self._tell(firing, outcome)
        # The broker answered before: by its answer a schedule is due at the end of its reservation.
        again = [firing.next_due - due.now for firing in firings if firing.next_due is not None]
        known = [] if due.next_due is None else [due.next_due]
        return replace(due, next_due=min(known + again, default=None))

    def _tell(self, firing: Firing, outcome: TickOutcome) -> None:
        """Fire the events of the ticks that a firing has decided."""
        if outcome not in RECORDED:
            return
        claim = firing.claim
        if outcome is TickOutcome.WON:
            self._events.enqueued(claim, claim.ticks)
        for tick in () if outcome is TickOutcome.WON else claim.ticks:
            reason = TickReason.PAUSED if outcome is TickOutcome.PAUSED else TickReason.OVERLAP
            self._events.tell(TickEvent.SKIPPED, CronKey(claim.queue, claim.name), tick, reason=reason.value)
        for record in firing.not_fired:
            self._events.not_fired(record)

    async def _reserve(self, tasks: frozenset[str]) -> DueSchedules:
        asked = self._clock.monotonic()
        try:
            due = await self._store.reserve_schedules(self._queues, tasks, limit=BATCH_SIZE, seconds=RESERVATION)
        except PartlyUnavailable as error:
            due = error.answer
        self._clock.heard(due.now, asked)
        self._started_at = min(self._started_at, due.now)
        return due

    def _firing(self, record: ScheduleRecord, owed: OwedTicks) -> Firing | None:
        """Return what to do with a due schedule; None if nothing can be said of it."""
        task = self._app.tasks.get(record.schedule.job.task)
        if task is None or record.due is None:
            return None
        try:
            job, entry = read_job(record.schedule, self._app.signer), self._entries.read(record.schedule, task)
            plan = owed.plan(entry, record.since)
            claim = _claim(record, self._worker_id, job, plan.fire, overlap=entry.options.overlap)
            if task.signs and plan.fire:
                # The signature covers the tick, so each job has its own; the broker has no secret to sign with.
                jobs = [replace(job, id=tick_id(claim.name, tick)) for tick in plan.fire]
                claim = replace(claim, payloads=tuple(task.signed(one).payload for one in jobs))
        except Exception as error:  # a schedule of an application may raise anything
            self._log_unreadable(record, error)
            claim, plan = _claim(record, self._worker_id, record.schedule.job), TickPlan(next_due=owed.now + POSTPONED)
        return _firing(record, claim, plan)

    def _log_unreadable(self, record: ScheduleRecord, error: Exception) -> None:
        name, revision = record.schedule.key.name, record.revision
        if (name, revision) in self._unreadable:
            return
        if len(self._unreadable) >= 1_000:
            self._unreadable.clear()
        self._unreadable.add((name, revision))
        logger.error(
            "schedule %s is not fired by this worker, which cannot read it: %s; it asks again every %g s",
            shown(name), error_text(error), POSTPONED,
            exc_info=None if isinstance(error, TypeError | ValueError | BadSignature) else error,
            extra={"event": "schedule_unreadable", "cron_name": name},
        )  # fmt: skip


def _claim(
    record: ScheduleRecord, worker_id: str, job: NewJob, ticks: tuple[float, ...] = (), *, overlap: Overlap = "allow"
) -> TickClaim:
    definition = record.schedule.definition
    return TickClaim(
        name=definition.name,
        queue=definition.queue,
        ticks=ticks,
        fingerprint=definition.fingerprint,
        worker_id=worker_id,
        # The same for each worker that fires these ticks, and short: brokers store it with each schedule.
        request_id=f"{record.revision[-8:]}-{round((record.due or 0) * 1000):x}",
        overlap=overlap,
        job=job,
    )


def _firing(record: ScheduleRecord, claim: TickClaim, plan: TickPlan) -> Firing:
    return Firing(
        claim=claim,
        revision=record.revision,
        due=record.due or 0.0,
        until=plan.until,
        next_due=plan.next_due,
        not_fired=tuple(
            TickRecord(
                name=claim.name,
                queue=claim.queue,
                tick=group.last.timestamp(),
                status=group.status,
                reason=group.reason,
                count=group.count,
            )
            for group in plan.not_fired
        ),
    )


def _warn_of_declared(firings: Sequence[Firing], outcomes: Sequence[TickOutcome]) -> None:
    for firing, outcome in zip(firings, outcomes, strict=True):
        if outcome is TickOutcome.SUPERSEDED:
            logger.warning(
                "stored schedule %s does not fire: the code of an app declares an entry of this name in queue %s; "
                "remove one of them",
                shown(firing.claim.name),
                firing.claim.queue,
                extra={"event": "schedule_superseded", "cron_name": firing.claim.name},
            )
