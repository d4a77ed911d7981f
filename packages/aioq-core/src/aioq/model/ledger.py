"""Decides which worker fires the ticks of an entry.

A ledger stores an `EntryState` for each entry, and asks `decide_claim` what to answer to a claim and what to store. It
loads the state, decides, and stores the result under one lock, or in one transaction. The function is the reference for
`aioq.protocols.TickLedger.claim_tick`: a ledger that decides in another language gives the same answers.

Ticks and moments in a state are whole milliseconds since 1970-01-01T00:00:00Z on the broker's clock.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from aioq.model.cron import TickClaim, TickOutcome, TickReason, TickRecord, TickReply, TickStatus
from aioq.model.ids import tick_id
from aioq.model.job import NewJob
from aioq.model.states import FINAL_STATES, JobState

__all__ = [
    "ALLOWED_FUTURE",
    "EARLIER_CLAIM_TTL",
    "MAX_EARLIER_CLAIMS",
    "AcceptedClaim",
    "Decision",
    "EntryRun",
    "EntryState",
    "RunJob",
    "counts_of",
    "decide_claim",
    "to_milliseconds",
]

ALLOWED_FUTURE: Final = 1.0
"""Seconds by which a tick may be ahead of the broker's clock and still be won."""

MAX_EARLIER_CLAIMS: Final = 10
"""Accepted claims that are remembered besides the latest."""

EARLIER_CLAIM_TTL: Final = 120.0
"""Seconds for which they are remembered."""


_COUNTED = {
    TickStatus.FIRED: ("fired",),
    TickStatus.OK: ("fired", "ok"),
    TickStatus.FAILED: ("fired", "failed"),
    TickStatus.SKIPPED: ("skipped",),
    TickStatus.MISSED: ("missed",),
}
"""The parts of `CronCounts` that a record counts in. A tick whose run has ended counts as fired, too."""


def to_milliseconds(moment: float) -> int:
    """Return a moment in whole milliseconds: ledgers compare ticks with this precision."""
    return round(moment * 1000)


def counts_of(record: TickRecord) -> Counter[str]:
    """Return how often a record counts in each part of `CronCounts`. One that it replaces no longer counts."""
    parts = _COUNTED[record.status]
    if record.status is TickStatus.SKIPPED and record.reason == TickReason.COALESCED:
        parts = ("coalesced",)
    return Counter(dict.fromkeys(parts, record.count))


class RunJob(Enum):
    """Where the job of an entry's run stands."""

    ENDED = "ended"
    """It has ended, or the broker does not know it, or the run has no job."""
    WAITING = "waiting"
    """No worker has started it. A released job counts as not started."""
    STARTED = "started"

    @classmethod
    def of(cls, state: JobState | None, attempt: int, *, held_up: bool = False) -> RunJob:
        """Return where a job stands.

        Args:
            state: By its record; None without one.
            attempt: By its record.
            held_up: Whether the job of the run `EntryRun.after` has not ended. A worker that has claimed this one
                then releases it.
        """
        if state is None or state in FINAL_STATES:
            return cls.ENDED
        return cls.STARTED if (state is JobState.RUNNING or attempt > 0) and not held_up else cls.WAITING


class EntryRun(Struct, frozen=True):
    """The run of the latest tick that was won."""

    tick: int
    worker_id: str
    until: int
    """When it ends unless it is extended; of no meaning if it has a job."""
    has_job: bool = False
    """Whether the claim had a job. The run lasts until the job of this tick ends."""
    ended: bool = False
    after: int | None = None
    """The tick of the run whose job has to end before this one's starts; None if there was none."""


class AcceptedClaim(Struct, frozen=True):
    """A claim that moved the entry's last tick, and the outcome."""

    request_id: str
    outcome: TickOutcome
    at: int
    before: int | None
    """The last tick before this claim."""
    previous: int | None
    """The same, or None if it was set under another fingerprint."""
    waiting: tuple[float, ...] = ()
    """The ticks that wait, while the outcome is `QUEUED`."""

    def decided(self, claim: TickClaim) -> tuple[float, ...]:
        """Return the ticks that the claim decided: those after the last tick before it."""
        return tuple(tick for tick in claim.ticks if self.before is None or to_milliseconds(tick) > self.before)

    def reply(self, claim: TickClaim, now: float) -> TickReply:
        """Return the answer to the claim."""
        if self.outcome is TickOutcome.QUEUED:
            return TickReply(outcome=self.outcome, now=now)
        won = self.decided(claim) if self.outcome is TickOutcome.WON else ()
        previous = None if self.previous is None else self.previous / 1000
        return TickReply(outcome=self.outcome, now=now, won=won, previous=previous)


class EntryState(Struct, frozen=True, kw_only=True):
    """What a ledger knows of one entry when a claim arrives."""

    registered: str | None = None
    """The fingerprint under which an app has registered the entry; None if no app has."""
    active: bool = True
    """False if the entry is retired or disabled."""
    paused: bool = False
    last_tick: int | None = None
    """The latest tick that was decided."""
    last_tick_by: str = ""
    """The fingerprint under which it was set."""
    latest: AcceptedClaim | None = None
    earlier: tuple[AcceptedClaim, ...] = ()
    """The accepted claims before the latest, newest first."""
    run: EntryRun | None = None
    job: RunJob = RunJob.ENDED
    """Where the job of the run stands. The ledger looks it up for each claim, and need not store it."""

    def armed(self, now: float) -> EntryState:
        """Return the state after a registration or the end of a pause: no tick before now is owed."""
        # Never back: the ledger may have decided a tick that is a little ahead of its clock.
        return replace(self, last_tick=max(self.last_tick or 0, to_milliseconds(now)))

    def is_running(self, now: float) -> bool:
        """Return whether the run is going on: it was extended in time, or its job has not ended."""
        run = self.run
        if run is None or run.ended:
            return False
        return self.job is not RunJob.ENDED if run.has_job else run.until > to_milliseconds(now)


class Decision(Struct, frozen=True, kw_only=True):
    """What a ledger answers to a claim, and what it stores in the same step."""

    reply: TickReply
    entry: EntryState | None = None
    """The new state; None if the claim changes nothing. Then there are neither jobs nor records."""
    jobs: tuple[NewJob, ...] = ()
    """Jobs to enqueue. One whose id is known in the queue, with any task or payload, is left out."""
    records: tuple[TickRecord, ...] = ()
    """Records to store, as `record_ticks` does."""


def decide_claim(entry: EntryState, claim: TickClaim, now: float) -> Decision:
    """Return the outcome of the first rule that applies; see `aioq.protocols.TickLedger.claim_tick`.

    Args:
        entry: What is stored.
        claim: The claim.
        now: The broker's clock, in seconds.
    """
    known = _repeated(entry, claim)
    if known and known.outcome is not TickOutcome.QUEUED:
        return Decision(reply=known.reply(claim, now))
    if refusal := _refusal(entry, claim, now, waits=known is not None):
        return Decision(reply=TickReply(outcome=refusal, now=now))
    outcome = _outcome(entry, claim, now)
    # After a change of the schedule the new one owes nothing for the past.
    previous = entry.last_tick if entry.last_tick_by == claim.fingerprint else None
    accepted = known or AcceptedClaim(claim.request_id, outcome, to_milliseconds(now), entry.last_tick, previous)
    ticks = accepted.decided(claim)
    accepted = replace(accepted, outcome=outcome, waiting=ticks if outcome is TickOutcome.QUEUED else ())
    return Decision(
        reply=accepted.reply(claim, now),
        entry=_after(entry, claim, accepted, now),
        jobs=_jobs(claim, ticks) if outcome is TickOutcome.WON else (),
        records=(*_records_of_replaced(entry, claim, known), *_records(claim, ticks, outcome, now)),
    )


def _repeated(entry: EntryState, claim: TickClaim) -> AcceptedClaim | None:
    """Return the accepted claim that has the same request id."""
    # With `cancel` only the latest counts: the runs of the others have been replaced.
    known = (entry.latest, *(() if claim.overlap == "cancel" else entry.earlier))
    return next((accepted for accepted in known if accepted and accepted.request_id == claim.request_id), None)


def _refusal(entry: EntryState, claim: TickClaim, now: float, *, waits: bool) -> TickOutcome | None:
    """Apply rules 2 to 4. A claim that waits has moved the last tick already, so rule 4 is left out."""
    newest = to_milliseconds(claim.ticks[-1])
    if entry.registered is not None and (not entry.active or entry.registered != claim.fingerprint):
        return TickOutcome.SUPERSEDED
    if newest > to_milliseconds(now + ALLOWED_FUTURE):
        return TickOutcome.EARLY
    lost = not waits and entry.last_tick is not None and newest <= entry.last_tick
    return TickOutcome.LOST if lost else None


def _outcome(entry: EntryState, claim: TickClaim, now: float) -> TickOutcome:
    """Apply rules 5 to 7."""
    if entry.paused:
        return TickOutcome.PAUSED
    if claim.overlap not in ("skip", "queue_one") or not entry.is_running(now):
        return TickOutcome.WON
    if claim.overlap == "skip":
        return TickOutcome.BUSY
    if claim.job is None:
        return TickOutcome.QUEUED
    # One job may wait. As long as the earlier one was not started, it is that one.
    waits = entry.run is not None and entry.run.has_job and entry.job is RunJob.WAITING
    return TickOutcome.BUSY if waits else TickOutcome.WON


def _after(entry: EntryState, claim: TickClaim, accepted: AcceptedClaim, now: float) -> EntryState:
    """Return the state after a claim was accepted, or decided again."""
    newest, run, job = to_milliseconds(claim.ticks[-1]), entry.run, entry.job
    if accepted.outcome is TickOutcome.WON:
        # Of several ticks the newest counts: overlap policies compare with no other.
        run = EntryRun(
            newest,
            claim.worker_id,
            to_milliseconds(now) + to_milliseconds(claim.run),
            has_job=claim.job is not None,
            after=_waited_for(entry, claim),
        )
        job = RunJob.ENDED if claim.job is None else RunJob.WAITING
    if entry.latest and entry.latest.request_id == claim.request_id:
        return replace(entry, latest=accepted, run=run, job=job)
    return replace(
        entry, last_tick=newest, last_tick_by=claim.fingerprint, latest=accepted, earlier=_earlier(entry, now), run=run,
        job=job,
    )  # fmt: skip


def _waited_for(entry: EntryState, claim: TickClaim) -> int | None:
    """Return the tick of the run whose job the job of a claim that is won has to wait for."""
    run = entry.run
    if claim.job is None or claim.overlap != "queue_one" or run is None or not run.has_job or run.ended:
        return None
    return None if entry.job is RunJob.ENDED else run.tick


def _earlier(entry: EntryState, now: float) -> tuple[AcceptedClaim, ...]:
    """Return the claims that may still be repeated, now that another one is the latest."""
    # A claim that waited is not remembered: its ticks are skipped, and a repetition has lost them.
    latest = entry.latest and entry.latest.outcome is not TickOutcome.QUEUED and entry.latest
    oldest = to_milliseconds(now - EARLIER_CLAIM_TTL)
    known = (*((latest,) if latest else ()), *entry.earlier)
    return tuple(accepted for accepted in known if accepted.at > oldest)[:MAX_EARLIER_CLAIMS]


def _jobs(claim: TickClaim, ticks: tuple[float, ...]) -> tuple[NewJob, ...]:
    """Return the jobs of ticks that were won."""
    template = claim.job
    if template is None:
        return ()
    payloads = dict(zip(claim.ticks, claim.payloads, strict=False))
    return tuple(
        replace(template, id=tick_id(claim.name, tick), queue=claim.queue, payload=payloads.get(tick, template.payload))
        for tick in ticks
    )


def _records_of_replaced(entry: EntryState, claim: TickClaim, known: AcceptedClaim | None) -> tuple[TickRecord, ...]:
    """Return records of the ticks that waited until this claim took their place."""
    replaced = entry.latest if known is None else None
    if replaced is None or replaced.outcome is not TickOutcome.QUEUED:
        return ()
    return tuple(_skipped(claim, tick, TickReason.OVERLAP) for tick in replaced.waiting)


def _records(claim: TickClaim, ticks: tuple[float, ...], outcome: TickOutcome, now: float) -> tuple[TickRecord, ...]:
    if outcome is TickOutcome.QUEUED:
        return ()
    if outcome is not TickOutcome.WON:
        reason = TickReason.PAUSED if outcome is TickOutcome.PAUSED else TickReason.OVERLAP
        return tuple(_skipped(claim, tick, reason) for tick in ticks)
    return tuple(
        TickRecord(
            name=claim.name,
            queue=claim.queue,
            tick=tick,
            status=TickStatus.FIRED,
            worker_id=claim.worker_id,
            fired_at=now,
            job_id=tick_id(claim.name, tick) if claim.job else None,
        )
        for tick in ticks
    )


def _skipped(claim: TickClaim, tick: float, reason: TickReason) -> TickRecord:
    return TickRecord(name=claim.name, queue=claim.queue, tick=tick, status=TickStatus.SKIPPED, reason=reason)
