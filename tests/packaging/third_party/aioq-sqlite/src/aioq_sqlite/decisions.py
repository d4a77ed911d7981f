"""Decides on claims of ticks: a pure function of an entry's state, a claim and the moment."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from aioq.model.cron import CronDefinition, TickClaim, TickOutcome, TickReason, TickRecord, TickReply, TickStatus
from aioq.model.ids import tick_id
from aioq.model.job import NewJob
from aioq.model.states import FINAL_STATES

WON, PAUSED, BUSY, QUEUED = TickOutcome.WON, TickOutcome.PAUSED, TickOutcome.BUSY, TickOutcome.QUEUED


class Accepted(Struct):
    """A claim that moved the last tick."""

    claim: TickClaim
    at: float
    before: int | None
    previous: int | None
    outcome: TickOutcome = QUEUED

    def ticks(self) -> list[float]:
        """Return the ticks that it decided."""
        return [tick for tick in self.claim.ticks if self.before is None or round(tick * 1000) > self.before]

    def reply(self, now: float) -> TickReply:
        """Return the answer."""
        if self.outcome is QUEUED:
            return TickReply(outcome=QUEUED, now=now)
        won = tuple(self.ticks()) if self.outcome is WON else ()
        previous = None if self.previous is None else self.previous / 1000
        return TickReply(outcome=self.outcome, now=now, won=won, previous=previous)


class Run(Struct):
    """The run of the latest tick that was won."""

    tick: int
    worker_id: str
    until: float
    job_id: str | None = None
    ended: bool = False

    def is_going_on(self, now: float, state: str | None) -> bool:
        """Return whether it goes on; `state` is that of its job."""
        if self.ended or self.job_id is None:
            return not self.ended and self.until > now
        return state is not None and state not in FINAL_STATES


class Decided(Struct):
    """What earlier claims left."""

    last_tick: int | None = None
    fingerprint: str = ""
    latest: Accepted | None = None
    earlier: list[Accepted] = field(default_factory=list[Accepted])
    run: Run | None = None


class Answer(Struct):
    """What a claim brings."""

    reply: TickReply
    jobs: list[NewJob]
    records: list[TickRecord]


class Facts(Struct):
    """What the decision depends on besides the earlier claims."""

    definition: CronDefinition | None
    retired: bool
    paused: bool
    job_state: str | None
    """The state of the job of the latest run; None if there is no such job."""
    started: bool
    """Whether a worker has started that job."""


def decide(state: Decided, claim: TickClaim, now: float, facts: Facts) -> Answer:
    """Decide on a claim, and change the state."""
    known = [state.latest, *([] if claim.overlap == "cancel" else state.earlier)]
    accepted = next((one for one in known if one and one.claim.request_id == claim.request_id), None)
    if accepted and accepted.outcome is not QUEUED:
        return Answer(accepted.reply(now), [], [])
    if outcome := _rejection(state, claim, now, facts, waiting=accepted is not None):
        return Answer(TickReply(outcome=outcome, now=now), [], [])
    records: list[TickRecord] = []
    if accepted is None:
        accepted = _accept(state, claim, now, records)
    accepted.outcome = _outcome(state, claim, now, facts)
    if accepted.outcome is WON:
        jobs = _fire(state, accepted, now, records)
        return Answer(accepted.reply(now), jobs, records)
    if accepted.outcome is not QUEUED:
        reason = TickReason.PAUSED if facts.paused else TickReason.OVERLAP
        records += [_skipped(accepted, tick, reason) for tick in accepted.ticks()]
    return Answer(accepted.reply(now), [], records)


def _rejection(state: Decided, claim: TickClaim, now: float, facts: Facts, *, waiting: bool) -> TickOutcome | None:
    latest, known = round(claim.ticks[-1] * 1000), facts.definition
    if known and (facts.retired or not known.enabled or known.fingerprint != claim.fingerprint):
        return TickOutcome.SUPERSEDED
    if latest > round((now + 1) * 1000):
        return TickOutcome.EARLY
    lost = not waiting and state.last_tick is not None and latest <= state.last_tick
    return TickOutcome.LOST if lost else None


def _accept(state: Decided, claim: TickClaim, now: float, records: list[TickRecord]) -> Accepted:
    """Move the last tick. A claim that was still waiting is skipped."""
    previous = state.last_tick if state.fingerprint == claim.fingerprint else None
    accepted = Accepted(claim, now, state.last_tick, previous)
    if state.latest and state.latest.outcome is QUEUED:
        records += [_skipped(state.latest, tick, TickReason.OVERLAP) for tick in state.latest.ticks()]
    elif state.latest:
        state.earlier.insert(0, state.latest)
    state.earlier = [one for one in state.earlier if one.at > now - 120][:10]
    state.latest, state.last_tick, state.fingerprint = accepted, round(claim.ticks[-1] * 1000), claim.fingerprint
    return accepted


def _outcome(state: Decided, claim: TickClaim, now: float, facts: Facts) -> TickOutcome:
    run = state.run
    if facts.paused:
        return PAUSED
    if run is None or claim.overlap not in ("skip", "queue_one") or not run.is_going_on(now, facts.job_state):
        return WON
    if claim.overlap == "skip":
        return BUSY
    if claim.job is not None:
        return WON if run.job_id is None or facts.started else BUSY
    return QUEUED


def _fire(state: Decided, accepted: Accepted, now: float, records: list[TickRecord]) -> list[NewJob]:
    """Set the run of the latest tick, record the ticks, and return their jobs."""
    claim, jobs = accepted.claim, list[NewJob]()
    payloads = dict(zip(claim.ticks, claim.payloads, strict=False))
    for tick in accepted.ticks():
        fired = TickRecord(name=claim.name, queue=claim.queue, tick=tick, status=TickStatus.FIRED)
        job_id = tick_id(claim.name, tick) if claim.job else None
        records.append(replace(fired, worker_id=claim.worker_id, fired_at=now, job_id=job_id))
        if claim.job and job_id:
            payload = payloads.get(tick, claim.job.payload)
            jobs.append(replace(claim.job, id=job_id, queue=claim.queue, payload=payload))
    last = jobs[-1].id if jobs else None
    state.run = Run(round(claim.ticks[-1] * 1000), claim.worker_id, now + claim.run, last)
    return jobs


def _skipped(accepted: Accepted, tick: float, reason: TickReason) -> TickRecord:
    claim = accepted.claim
    return TickRecord(name=claim.name, queue=claim.queue, tick=tick, status=TickStatus.SKIPPED, reason=reason)
