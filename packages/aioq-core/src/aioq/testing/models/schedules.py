"""A model of the schedules that clients store at run time, and of the jobs of their ticks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from aioq.model.cron import CronKey, TickOutcome
from aioq.model.ids import tick_id
from aioq.model.job import JobKey
from aioq.model.schedules import Firing, PutOutcome, ScheduleRecord, StoredSchedule
from aioq.testing.models.ledger import LedgerModel, ms

__all__ = ["ModelSchedule", "ScheduleModel"]

RECORDED = (TickOutcome.WON, TickOutcome.PAUSED, TickOutcome.BUSY)


@dataclass
class ModelSchedule:
    """What is stored of a schedule. Moments are in milliseconds."""

    stored: StoredSchedule
    revision: str
    since: int
    due: int | None
    look_at: int | None
    """When it is due, or its reservation ends."""

    def record(self) -> ScheduleRecord:
        """Return it as callers see it."""
        due = None if self.due is None else self.due / 1000
        return ScheduleRecord(schedule=self.stored, revision=self.revision, since=self.since / 1000, due=due)

    def move(self, until: float | None, next_due: float | None) -> None:
        """Move on after a firing."""
        self.since = self.since if until is None else max(self.since, ms(until))
        self.due = self.look_at = None if next_due is None else ms(next_due)


class ScheduleModel:
    """The schedules of a broker, and an entry of the ledger for each key."""

    def __init__(self) -> None:
        self.now = 0
        self.schedules: dict[CronKey, ModelSchedule] = {}
        self.entries: defaultdict[CronKey, LedgerModel] = defaultdict(LedgerModel)
        self.jobs: dict[JobKey, bytes] = {}
        """The payloads of jobs of ticks that no worker has claimed."""

    def look(self, now: int) -> None:
        """Set the clock."""
        self.now = now
        for entry in self.entries.values():
            entry.now = now

    def entry(self, key: CronKey) -> LedgerModel:
        """Return the entry of a key."""
        self.entries[key].now = self.now
        return self.entries[key]

    def is_declared(self, key: CronKey) -> bool:
        """Return whether the code of an app has an entry of this key."""
        return self.entry(key).registered is not None and not self.entry(key).retired

    def put(self, put: StoredSchedule, revision: str, due: float | None) -> PutOutcome:
        """Store a schedule."""
        moment, known = None if due is None else ms(due), self.schedules.get(put.key)
        if self.is_declared(put.key):
            return PutOutcome.DECLARED
        if known and known.stored.app != put.app:
            return PutOutcome.TAKEN
        if known and known.stored == put:
            return PutOutcome.UNCHANGED
        since = self.now
        if known and known.stored.definition.fingerprint == put.definition.fingerprint:
            since = known.since
            if moment is not None and known.due is not None:
                moment = min(moment, known.due)
        self.schedules[put.key] = ModelSchedule(put, revision, since, moment, moment)
        return PutOutcome.CHANGED if known else PutOutcome.ADDED

    def records(self, app: str) -> list[ScheduleRecord]:
        """Return the schedules of an app by queue and name."""
        return [known.record() for _, known in sorted(self.schedules.items()) if known.stored.app == app]

    def due(self, queues: Collection[str], tasks: Collection[str]) -> dict[CronKey, ScheduleRecord]:
        """Return the schedules that a worker may reserve."""
        known = self._of_worker(queues, tasks)
        return {one.stored.key: one.record() for one in known if one.look_at is not None and one.look_at <= self.now}

    def reserve(self, key: CronKey, seconds: float) -> None:
        """Reserve a schedule."""
        self.schedules[key].look_at = self.now + ms(seconds)

    def next_due(self, queues: Collection[str], tasks: Collection[str]) -> int | None:
        """Return in how many milliseconds a worker has to look at the next schedule; None without one."""
        moments = [one.look_at for one in self._of_worker(queues, tasks) if one.look_at is not None]
        return min(moments) - self.now if moments else None

    def fire(self, firing: Firing) -> TickOutcome:
        """Decide on a firing, in the order of the rules."""
        claim = firing.claim
        key = CronKey(claim.queue, claim.name)
        known, entry = self.schedules.get(key), self.entry(key)
        if known is None or (known.revision, known.due) != (firing.revision, ms(firing.due)):
            return TickOutcome.LOST
        if self.is_declared(key):
            outcome = TickOutcome.SUPERSEDED
        elif not claim.ticks:
            outcome = TickOutcome.WON
        else:
            waiting = len(entry.waiting)
            outcome = entry.answer(claim, checks_registration=False).outcome
            for tick in entry.waiting[waiting:]:
                self.jobs[key.queue, tick_id(key.name, tick / 1000)] = known.stored.job.payload
        if outcome is not TickOutcome.EARLY:
            known.move(firing.until, firing.next_due)
        if outcome in RECORDED:
            entry.records |= {ms(one.tick): (one.status.value, one.reason) for one in firing.not_fired}
        return outcome

    def _of_worker(self, queues: Collection[str], tasks: Collection[str]) -> list[ModelSchedule]:
        return [
            known for key, known in self.schedules.items() if key.queue in queues and known.stored.job.task in tasks
        ]
