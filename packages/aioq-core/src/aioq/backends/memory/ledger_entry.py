"""Decides which worker may fire the ticks of one cron entry, in the memory broker's ledger.

The rules are those of `aioq.protocols.TickLedger.claim_tick`. An entry remembers the last tick that was
decided, the latest claims, the run of the latest tick that was won, and its records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from msgspec.structs import replace

from aioq.backends.memory.queue import StoredJob
from aioq.backends.memory.tick_history import TickHistory, to_milliseconds
from aioq.model.cron import (
    CronDefinition,
    CronKey,
    CronStatus,
    Pause,
    TickClaim,
    TickOutcome,
    TickReason,
    TickRecord,
    TickReply,
    TickRun,
    TickStatus,
)
from aioq.model.ids import tick_id
from aioq.model.job import JobKey, NewJob
from aioq.model.states import FINAL_STATES, JobState

__all__ = ["ALLOWED_FUTURE", "AcceptedClaim", "AcceptedClaims", "FindJob", "LedgerEntry", "LedgerRun"]

ALLOWED_FUTURE = 1.0
"""Seconds by which a tick may be ahead of the broker's clock and still be won."""

MAX_EARLIER_CLAIMS = 10
"""Accepted claims that are remembered besides the latest."""

EARLIER_CLAIM_TTL = 120.0
"""Seconds that they are remembered."""

FindJob: TypeAlias = Callable[[JobKey], StoredJob | None]
"""Returns a stored job."""

WON, PAUSED, BUSY, QUEUED = TickOutcome.WON, TickOutcome.PAUSED, TickOutcome.BUSY, TickOutcome.QUEUED


@dataclass(slots=True, eq=False)
class AcceptedClaim:
    """A claim that moved the entry's last tick, and its answer."""

    claim: TickClaim
    at: float
    before: int | None
    """The last tick before this claim, in milliseconds."""
    previous: int | None
    """The same, or None if the fingerprint was another one then."""
    outcome: TickOutcome = TickOutcome.QUEUED

    def ticks(self) -> list[float]:
        """Return the ticks that the claim decided: those after the last tick before it."""
        return [tick for tick in self.claim.ticks if self.before is None or to_milliseconds(tick) > self.before]

    def jobs(self) -> list[NewJob]:
        """Return the jobs to enqueue: one for each tick that was won, if the claim has a job."""
        claim = self.claim
        if claim.job is None or self.outcome is not TickOutcome.WON:
            return []
        payloads = dict(zip(claim.ticks, claim.payloads, strict=False))
        return [
            replace(
                claim.job,
                id=tick_id(claim.name, tick),
                queue=claim.queue,
                payload=payloads.get(tick, claim.job.payload),
            )
            for tick in self.ticks()
        ]

    def reply(self, now: float) -> TickReply:
        """Return the answer to the claim."""
        if self.outcome is TickOutcome.QUEUED:
            return TickReply(outcome=TickOutcome.QUEUED, now=now)
        return TickReply(
            outcome=self.outcome,
            now=now,
            won=tuple(self.ticks()) if self.outcome is TickOutcome.WON else (),
            previous=None if self.previous is None else self.previous / 1000,
        )


@dataclass(slots=True, eq=False)
class AcceptedClaims:
    """The latest accepted claim and those before it, so that a repeated request gets the same answer."""

    latest: AcceptedClaim | None = None
    earlier: list[AcceptedClaim] = field(default_factory=list[AcceptedClaim])
    """Newest first."""

    def find(self, claim: TickClaim) -> AcceptedClaim | None:
        """Return the accepted claim that has the same request id.

        With `overlap="cancel"` only the latest counts: the runs of the others have been replaced.
        """
        known = [self.latest, *([] if claim.overlap == "cancel" else self.earlier)]
        return next((accepted for accepted in known if accepted and _same_request(accepted, claim)), None)

    def add(self, accepted: AcceptedClaim) -> AcceptedClaim | None:
        """Make a claim the latest; return the one before it if that was still waiting."""
        before, self.latest = self.latest, accepted
        waited = before is not None and before.outcome is TickOutcome.QUEUED
        # A claim that waited is not remembered: its ticks are skipped, and a repetition has lost them.
        known = [*([] if before is None or waited else [before]), *self.earlier]
        oldest = accepted.at - EARLIER_CLAIM_TTL
        self.earlier = [earlier for earlier in known if earlier.at > oldest][:MAX_EARLIER_CLAIMS]
        return before if waited else None


@dataclass(slots=True, eq=False)
class LedgerRun:
    """The run of the latest tick that was won."""

    tick: int
    worker_id: str
    until: float
    job: JobKey | None = None
    ended: bool = False

    def is_going_on(self, now: float, find_job: FindJob) -> bool:
        """Return whether the run was extended in time; if it is a job, whether that has not ended."""
        if self.ended or self.job is None:
            return not self.ended and self.until > now
        job = find_job(self.job)
        return job is not None and job.state not in FINAL_STATES

    def was_started(self, find_job: FindJob) -> bool:
        """Return whether a worker has started the run's job. A released job counts as not started."""
        job = find_job(self.job) if self.job else None
        return job is not None and (job.state is JobState.RUNNING or job.attempt > 0)


@dataclass(slots=True, eq=False)
class LedgerEntry:
    """The ledger's state of one cron entry."""

    key: CronKey
    touched_at: float = 0.0
    definition: CronDefinition | None = None
    app: str = ""
    armed_at: float = 0.0
    retired_at: float | None = None
    pause: Pause | None = None
    last_tick: int | None = None
    """The latest tick that was decided, in milliseconds."""
    fingerprint: str = ""
    """The fingerprint under which `last_tick` was set."""
    claims: AcceptedClaims = field(default_factory=AcceptedClaims)
    run: LedgerRun | None = None
    history: TickHistory = field(default_factory=TickHistory)

    def define(self, definition: CronDefinition, app: str, now: float) -> None:
        """Set the definition, and arm the entry if it is new, enabled again or has another fingerprint."""
        # An entry that returns after it was retired counts as new.
        known = self.definition if self.retired_at is None else None
        enabled_again = known is not None and definition.enabled and not known.enabled
        self.definition = definition
        self.app = app
        self.retired_at = None
        if known is None or enabled_again or known.fingerprint != definition.fingerprint:
            self.arm(now)
            self.fingerprint = definition.fingerprint

    def arm(self, now: float) -> None:
        """Move the last tick to now, so that no earlier tick is owed."""
        self.armed_at = now
        # Never back: the ledger may have decided a tick that is a little ahead of its clock.
        self.last_tick = max(self.last_tick or 0, to_milliseconds(now))

    def claim(self, claim: TickClaim, now: float, find_job: FindJob) -> tuple[TickReply, list[NewJob]]:
        """Decide on a claim; return the answer and the jobs to enqueue."""
        accepted = self.claims.find(claim)
        # A `QUEUED` claim is decided again at each repetition: the run that it waits for may have ended.
        if accepted and accepted.outcome is not QUEUED:
            return accepted.reply(now), []
        if outcome := self._rejection(claim, now, waiting=accepted is not None):
            return TickReply(outcome=outcome, now=now), []
        accepted = accepted or self._accept(claim, now)
        accepted.outcome = self._outcome(claim, now, find_job)
        self._record_outcome(accepted, now)
        return accepted.reply(now), accepted.jobs()

    def extend(self, run: TickRun, until: float) -> bool:
        """Extend a run; return False if another run has replaced it."""
        current = self.run
        # No run is known, so none has replaced this one.
        if current is None:
            return True
        if (current.tick, current.worker_id) != (to_milliseconds(run.tick), run.worker_id):
            return False
        current.until = until
        return True

    def record(self, record: TickRecord) -> None:
        """Store a record; if it has `finished_at`, end the run of its tick."""
        self.history.put(record)
        run = self.run
        if record.finished_at is None or run is None or run.tick != to_milliseconds(record.tick):
            return
        # A cron's record of another worker, which was replaced, must not end the run that goes on.
        if run.job is not None or run.worker_id == record.worker_id:
            run.ended = True

    def status(self, now: float, find_job: FindJob) -> CronStatus | None:
        """Return the public status; None if no app has registered the entry."""
        definition = self.definition
        if definition is None:
            return None
        return CronStatus(
            definition=definition,
            app=self.app,
            armed_at=self.armed_at,
            # An entry that every worker fires by itself has none: no claim decides its ticks.
            last_tick=_to_seconds(self.last_tick) if definition.unique else None,
            pause=self.pause,
            retired_at=self.retired_at,
            last=next(iter(self.history.newest(1)), None),
            last_success=_to_seconds(self.history.latest_success),
            last_result=self.history.latest_result,
            running=self._running(now, find_job),
            counts=self.history.counts(),
        )

    def _running(self, now: float, find_job: FindJob) -> TickRun | None:
        run = self.run
        if run is None or not run.is_going_on(now, find_job):
            return None
        return TickRun(name=self.key.name, queue=self.key.queue, tick=run.tick / 1000, worker_id=run.worker_id)

    def _rejection(self, claim: TickClaim, now: float, *, waiting: bool) -> TickOutcome | None:
        """Apply rules 2 to 4; a claim that is `QUEUED` has moved the last tick already, so rule 4 is left out."""
        known, latest = self.definition, to_milliseconds(claim.ticks[-1])
        if known and (self.retired_at is not None or not known.enabled or known.fingerprint != claim.fingerprint):
            return TickOutcome.SUPERSEDED
        if latest > to_milliseconds(now + ALLOWED_FUTURE):
            return TickOutcome.EARLY
        lost = not waiting and self.last_tick is not None and latest <= self.last_tick
        return TickOutcome.LOST if lost else None

    def _accept(self, claim: TickClaim, now: float) -> AcceptedClaim:
        """Apply rule 5: move the last tick. An earlier claim that was still waiting is skipped."""
        # After a change of the schedule the new one owes nothing for the past.
        previous = self.last_tick if self.fingerprint == claim.fingerprint else None
        accepted = AcceptedClaim(claim=claim, at=now, before=self.last_tick, previous=previous)
        replaced = self.claims.add(accepted)
        if replaced is not None:
            self._skip(replaced, TickReason.OVERLAP)
        self.last_tick = to_milliseconds(claim.ticks[-1])
        self.fingerprint = claim.fingerprint
        return accepted

    def _outcome(self, claim: TickClaim, now: float, find_job: FindJob) -> TickOutcome:
        """Apply rules 5 to 7: paused, overlapping or won."""
        run = self.run
        if self.pause is not None:
            return PAUSED
        if run is None or claim.overlap not in ("skip", "queue_one") or not run.is_going_on(now, find_job):
            return WON
        if claim.overlap == "skip":
            return BUSY
        if claim.job is not None:
            # One job may wait. As long as the earlier one was not started, it is that one.
            return WON if run.job is None or run.was_started(find_job) else BUSY
        return QUEUED

    def _record_outcome(self, accepted: AcceptedClaim, now: float) -> None:
        if accepted.outcome is WON:
            self._fire(accepted, now)
        elif accepted.outcome is not QUEUED:
            self._skip(accepted, TickReason.PAUSED if accepted.outcome is PAUSED else TickReason.OVERLAP)

    def _fire(self, accepted: AcceptedClaim, now: float) -> None:
        claim, job_id = accepted.claim, None
        for tick in accepted.ticks():
            job_id = tick_id(claim.name, tick) if claim.job else None
            record = self._record(tick, TickStatus.FIRED)
            self.history.put(replace(record, worker_id=claim.worker_id, fired_at=now, job_id=job_id))
        # Of several ticks the newest counts: overlap policies compare with no other.
        job = None if job_id is None else (claim.queue, job_id)
        self.run = LedgerRun(to_milliseconds(claim.ticks[-1]), claim.worker_id, now + claim.run, job)

    def _skip(self, accepted: AcceptedClaim, reason: TickReason) -> None:
        for tick in accepted.ticks():
            self.history.put(replace(self._record(tick, TickStatus.SKIPPED), reason=reason))

    def _record(self, tick: float, status: TickStatus) -> TickRecord:
        return TickRecord(name=self.key.name, queue=self.key.queue, tick=tick, status=status)


def _same_request(accepted: AcceptedClaim, claim: TickClaim) -> bool:
    return accepted.claim.request_id == claim.request_id


def _to_seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
