"""Decides what a broker does with a schedule that a client puts, and with the ticks that a worker fires of it.

A broker stores a `ScheduleState` for each schedule beside the `EntryState` of its ledger. It loads both, decides, and
stores the result under one lock, or in one transaction. These functions are the reference for
`aioq.protocols.Schedules`: a broker that decides in another language gives the same answers.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from aioq.model.cron import TickOutcome, TickRecord
from aioq.model.job import NewJob
from aioq.model.ledger import EntryState, decide_claim, to_milliseconds
from aioq.model.schedules import Firing, PutOutcome, ScheduleRecord, StoredSchedule

__all__ = ["RECORDED", "FiringDecision", "ScheduleState", "decide_firing", "decide_put"]

RECORDED = (TickOutcome.WON, TickOutcome.PAUSED, TickOutcome.BUSY)
"""Outcomes with which the ticks that do not fire are recorded."""


class ScheduleState(Struct, frozen=True, kw_only=True):
    """What a broker stores of a schedule. Moments are whole milliseconds."""

    schedule: StoredSchedule
    revision: str
    since: int
    due: int | None

    def record(self) -> ScheduleRecord:
        """Return the state as callers see it."""
        due = None if self.due is None else self.due / 1000
        return ScheduleRecord(schedule=self.schedule, revision=self.revision, since=self.since / 1000, due=due)


class FiringDecision(Struct, frozen=True, kw_only=True):
    """What a broker answers to a firing, and what it stores in the same step."""

    outcome: TickOutcome
    schedule: ScheduleState | None = None
    """The new state; None if nothing is stored."""
    entry: EntryState | None = None
    """The new state of the ledger's entry; None if it stays as it is."""
    jobs: tuple[NewJob, ...] = ()
    """Jobs to enqueue, unless their id is known in the queue."""
    records: tuple[TickRecord, ...] = ()


def decide_put(
    known: ScheduleState | None,
    put: StoredSchedule,
    *,
    revision: str,
    due: float | None,
    declared: bool,
    now: float,
) -> tuple[PutOutcome, ScheduleState | None]:
    """Return the outcome of `put_schedule`, and what to store; None if nothing changes.

    Args:
        known: What is stored under the key.
        put: The new schedule.
        revision: Its revision.
        due: When workers have to look at it.
        declared: Whether an app has registered an entry under the key that is not retired.
        now: The broker's clock, in seconds.
    """
    if declared:
        return PutOutcome.DECLARED, None
    due_at = None if due is None else to_milliseconds(due)
    if known is None:
        state = ScheduleState(schedule=put, revision=revision, since=to_milliseconds(now), due=due_at)
        return PutOutcome.ADDED, state
    if known.schedule.app != put.app:
        return PutOutcome.TAKEN, None
    if known.schedule == put:
        return PutOutcome.UNCHANGED, None
    since = to_milliseconds(now)
    if known.schedule.definition.fingerprint == put.definition.fingerprint:
        # The same moments with other arguments or policies: a tick that is owed stays owed.
        since = known.since
        due_at = known.due if due_at is not None and known.due is not None and known.due < due_at else due_at
    return PutOutcome.CHANGED, ScheduleState(schedule=put, revision=revision, since=since, due=due_at)


def decide_firing(
    known: ScheduleState | None, entry: EntryState, firing: Firing, *, declared: bool, now: float
) -> FiringDecision:
    """Return the outcome of the first rule of `aioq.protocols.Schedules.fire_schedules` that applies.

    Args:
        known: What is stored of the schedule.
        entry: What the ledger stores under its key.
        firing: The firing.
        declared: Whether an app has registered an entry under the key that is not retired.
        now: The broker's clock, in seconds.
    """
    if known is None or known.revision != firing.revision or known.due != to_milliseconds(firing.due):
        return FiringDecision(outcome=TickOutcome.LOST)
    after = replace(
        known,
        since=known.since if firing.until is None else max(known.since, to_milliseconds(firing.until)),
        due=None if firing.next_due is None else to_milliseconds(firing.next_due),
    )
    if declared:
        return FiringDecision(outcome=TickOutcome.SUPERSEDED, schedule=after)
    if not firing.claim.ticks:
        return FiringDecision(outcome=TickOutcome.WON, schedule=after, records=firing.not_fired)
    # A registration that is over does not count.
    decision = decide_claim(replace(entry, registered=None, active=True), firing.claim, now)
    outcome = decision.reply.outcome
    if outcome is TickOutcome.EARLY:
        return FiringDecision(outcome=outcome)
    changed = decision.entry and replace(decision.entry, registered=entry.registered, active=entry.active)
    return FiringDecision(
        outcome=outcome,
        schedule=after,
        entry=changed,
        jobs=decision.jobs,
        records=decision.records + (firing.not_fired if outcome in RECORDED else ()),
    )
