"""Fires the schedules that the broker stores: asks for those that are due, decides, and tells the broker what to do.

A worker holds none of them between two calls. The broker reserves what it returns, so that the workers of a fleet share
schedules that are due together. A firing is one step of the broker, which does nothing if another worker was faster: a
worker that dies, or whose answer is lost, leaves the schedule due.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio
from msgspec.structs import replace

from aioq.app import Aarq
from aioq.clock import BrokerClock
from aioq.cron import CronEntry
from aioq.cron.entry import due_at
from aioq.cron.misfire import NotFired, decide, split_at, unclaimed
from aioq.cron.steps import INSTANT, TickRange, around, latest, step
from aioq.cron.stored import look_at, read_entry
from aioq.errors import BadSignature, PartlyUnavailable
from aioq.events import TickEvent
from aioq.model.cron import CronKey, TickClaim, TickOutcome, TickReason, TickRecord
from aioq.model.firing import RECORDED
from aioq.model.ids import tick_id
from aioq.model.schedules import DueSchedules, Firing, ScheduleRecord
from aioq.protocols import Schedules
from aioq.serialization.failure import error_text
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.cron.tick_events import TickEvents
from aioq.worker.log import logger, shown
from aioq.worker.runtime import Runtime

__all__ = ["StoredSchedules", "firing_of"]

BATCH_SIZE = 100
"""Schedules that are reserved and fired at a time."""

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
            firings = [firing for record in due.schedules if (firing := self._firing(record, due.now))]
            if firings:
                outcomes = await self._store.fire_schedules(firings)
                _warn_of_declared(firings, outcomes)
                for firing, outcome in zip(firings, outcomes, strict=True):
                    self._tell(firing, outcome)
        return due

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

    def _firing(self, record: ScheduleRecord, now: float) -> Firing | None:
        """Return what to do with a due schedule; None if nothing can be said of it."""
        stored = record.schedule
        task = self._app.tasks.get(stored.job.task)
        if task is None or record.due is None:
            return None
        try:
            entry = read_entry(stored, task, self._app.scheduler, self._app.signer)
            started_at = datetime.fromtimestamp(self._started_at, UTC)
            return firing_of(entry, record, worker_id=self._worker_id, now=now, started_at=started_at)
        except Exception as error:  # a schedule of an application may raise anything
            self._log_unreadable(record, error)
            later = now + POSTPONED
            return Firing(
                claim=_claim(record, self._worker_id), revision=record.revision, due=record.due, until=None,
                next_due=later,
            )  # fmt: skip

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


def firing_of(entry: CronEntry, record: ScheduleRecord, *, worker_id: str, now: float, started_at: datetime) -> Firing:
    """Decide which of the ticks that a schedule owes fire, and when workers have to look at it again.

    Args:
        entry: The entry of the schedule.
        record: What the broker stores of it.
        worker_id: The worker that fires it.
        now: The broker's clock.
        started_at: When this worker has started. Ticks that came due before it by more than the entry's `grace` were
            missed, unless `catchup` makes up for them.
    """
    moment, since = datetime.fromtimestamp(now, UTC), datetime.fromtimestamp(record.since, UTC)
    owed, following = _owed(entry, since, moment)
    fire: tuple[datetime, ...] = ()
    not_fired: tuple[NotFired, ...] = ()
    if owed is not None:
        fire, not_fired = _decided(entry, since, owed, moment, started_at)
    next_due = None if following is None or not entry.options.enabled else look_at(entry, following)
    return Firing(
        claim=_claim(record, worker_id, entry, fire),
        revision=record.revision,
        due=record.due or now,
        until=None if owed is None else owed.last.timestamp(),
        next_due=next_due,
        not_fired=tuple(_record(entry, group) for group in not_fired),
    )


def _owed(entry: CronEntry, since: datetime, now: datetime) -> tuple[TickRange | None, datetime | None]:
    """Return the ticks after `since` that have come due, and the tick that follows."""
    first = step(entry.schedule, since)
    if first is None or due_at(entry, first) > now:
        return None, first
    following = step(entry.schedule, first)
    if following is None or following > now:  # the usual case: one tick
        return TickRange(first, first), following
    newest, following = around(entry.schedule, first, now)
    if due_at(entry, newest) > now:  # jitter is less than a step, so the tick before is due
        following, newest = newest, latest(entry.schedule, first, newest - INSTANT)
    return TickRange(first, newest), following


def _decided(
    entry: CronEntry, since: datetime, owed: TickRange, now: datetime, started_at: datetime
) -> tuple[tuple[datetime, ...], tuple[NotFired, ...]]:
    """Return the ticks that fire, and those that do not."""
    options = entry.options
    floor = started_at - timedelta(seconds=max(options.grace, options.catchup or 0))
    too_old, rest = split_at(entry, owed, floor)
    missed: tuple[NotFired, ...] = ()
    if too_old is not None:
        missed = unclaimed(entry, since, rest.first if rest is not None else owed.last + INSTANT)
    if rest is None:
        return (), missed
    decision = decide(entry, rest.first, rest.last, now)
    return decision.fire, missed + decision.not_fired


def _claim(
    record: ScheduleRecord, worker_id: str, entry: CronEntry | None = None, ticks: Sequence[datetime] = ()
) -> TickClaim:
    definition, job = record.schedule.definition, entry.job if entry is not None else record.schedule.job
    seconds = tuple(tick.timestamp() for tick in ticks)
    payloads: tuple[bytes, ...] = ()
    if job is not None and entry is not None and entry.sign is not None:
        payloads = tuple(entry.sign(replace(job, id=tick_id(entry.name, tick))).payload for tick in seconds)
    return TickClaim(
        name=definition.name,
        queue=definition.queue,
        ticks=seconds,
        fingerprint=definition.fingerprint,
        worker_id=worker_id,
        # The same for each worker that fires these ticks.
        request_id=f"{record.revision}:{round((record.due or 0) * 1000)}",
        overlap=entry.options.overlap if entry is not None else "allow",
        job=job,
        payloads=payloads,
    )


def _record(entry: CronEntry, group: NotFired) -> TickRecord:
    return TickRecord(
        name=entry.name,
        queue=entry.queue,
        tick=group.last.timestamp(),
        status=group.status,
        reason=group.reason,
        count=group.count,
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
