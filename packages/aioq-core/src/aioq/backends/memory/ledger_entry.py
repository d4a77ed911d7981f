"""Stores one cron entry in the memory broker's ledger: its state, its definition and its records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from msgspec.structs import replace

from aioq.backends.memory.queue import StoredJob
from aioq.backends.memory.tick_history import TickHistory
from aioq.model.cron import CronDefinition, CronKey, CronStatus, Pause, TickClaim, TickRecord, TickReply, TickRun
from aioq.model.ids import tick_id
from aioq.model.job import JobKey, NewJob
from aioq.model.ledger import EntryRun, EntryState, RunJob, decide_claim, to_milliseconds
from aioq.model.states import FINAL_STATES

__all__ = ["FindJob", "LedgerEntry"]

FindJob: TypeAlias = Callable[[JobKey], StoredJob | None]
"""Returns a stored job."""


@dataclass(slots=True, eq=False)
class LedgerEntry:
    """What the ledger stores of one entry."""

    key: CronKey
    touched_at: float = 0.0
    definition: CronDefinition | None = None
    app: str = ""
    armed_at: float = 0.0
    retired_at: float | None = None
    pause: Pause | None = None
    state: EntryState = field(default_factory=EntryState)
    history: TickHistory = field(default_factory=TickHistory)

    def define(self, definition: CronDefinition, app: str, now: float) -> None:
        """Set the definition, and arm the entry if it is new, enabled again or has another fingerprint."""
        # An entry that returns after it was retired counts as new.
        known = self.definition if self.retired_at is None else None
        enabled_again = known is not None and definition.enabled and not known.enabled
        self.definition = definition
        self.app = app
        self.retired_at = None
        self.state = replace(self.state, registered=definition.fingerprint, active=definition.enabled)
        if known is None or enabled_again or known.fingerprint != definition.fingerprint:
            self._arm(now)
            self.state = replace(self.state, last_tick_by=definition.fingerprint)

    def retire(self, now: float) -> None:
        """Note that the app has no such entry any more."""
        self.retired_at = now
        self.state = replace(self.state, active=False)

    def set_pause(self, pause: Pause) -> None:
        """Pause the entry, or replace the note of a pause."""
        self.pause = pause
        self.state = replace(self.state, paused=True)

    def resume(self, now: float) -> None:
        """End a pause. No tick of the pause is made up for."""
        self.pause = None
        self.state = replace(self.state, paused=False)
        self._arm(now)

    def claim(self, claim: TickClaim, now: float, find_job: FindJob) -> tuple[TickReply, tuple[NewJob, ...]]:
        """Decide on a claim; return the answer and the jobs to enqueue."""
        decision = decide_claim(self.with_job(find_job), claim, now)
        if decision.entry is not None:
            self.state = decision.entry
        for record in decision.records:
            self.history.put(record)
        return decision.reply, decision.jobs

    def extend(self, run: TickRun, until: float) -> bool:
        """Extend a run; return False if another run has replaced it."""
        current = self.state.run
        # No run is known, so none has replaced this one.
        if current is None:
            return True
        if (current.tick, current.worker_id) != (to_milliseconds(run.tick), run.worker_id):
            return False
        self.state = replace(self.state, run=replace(current, until=to_milliseconds(until)))
        return True

    def record(self, record: TickRecord) -> None:
        """Store a record; if it has `finished_at`, end the run of its tick."""
        self.history.put(record)
        run = self.state.run
        if record.finished_at is None or run is None or run.tick != to_milliseconds(record.tick):
            return
        # A cron's record of another worker, which was replaced, must not end the run that goes on.
        if run.has_job or run.worker_id == record.worker_id:
            self.state = replace(self.state, run=replace(run, ended=True))

    def status(self, now: float, find_job: FindJob) -> CronStatus | None:
        """Return the public status; None if no app has registered the entry."""
        if self.definition is None:
            return None
        return self.status_as(self.definition, self.app, self.armed_at, now, find_job, retired_at=self.retired_at)

    def status_as(
        self,
        definition: CronDefinition,
        app: str,
        armed_at: float,
        now: float,
        find_job: FindJob,
        *,
        retired_at: float | None = None,
    ) -> CronStatus:
        """Return the public status under a definition."""
        return CronStatus(
            definition=definition,
            app=app,
            armed_at=armed_at,
            # An entry that every worker fires by itself has none: no claim decides its ticks.
            last_tick=_to_seconds(self.state.last_tick) if definition.unique else None,
            pause=self.pause,
            retired_at=retired_at,
            last=next(iter(self.history.newest(1)), None),
            last_success=_to_seconds(self.history.latest_success),
            last_result=self.history.latest_result,
            running=self._running(now, find_job),
            counts=self.history.counts(),
        )

    def _arm(self, now: float) -> None:
        self.armed_at = now
        self.state = self.state.armed(now)

    def with_job(self, find_job: FindJob) -> EntryState:
        """Return the state with what is known now of the job of the run."""
        run = self.state.run
        return replace(self.state, job=self._job_of(run, find_job)) if run and run.has_job else self.state

    def _job_of(self, run: EntryRun, find_job: FindJob) -> RunJob:
        stored, earlier = (
            None if tick is None else find_job((self.key.queue, tick_id(self.key.name, tick / 1000)))
            for tick in (run.tick, run.after)
        )
        held_up = earlier is not None and earlier.state not in FINAL_STATES
        return RunJob.of(stored.state, stored.attempt, held_up=held_up) if stored else RunJob.ENDED

    def _running(self, now: float, find_job: FindJob) -> TickRun | None:
        run = self.state.run
        if run is None or not self.with_job(find_job).is_running(now):
            return None
        return TickRun(name=self.key.name, queue=self.key.queue, tick=run.tick / 1000, worker_id=run.worker_id)


def _to_seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
