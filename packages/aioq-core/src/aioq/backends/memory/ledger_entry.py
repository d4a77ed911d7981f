"""One entry of the memory broker's ledger: the mark, the latest claim and the latest run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from aioq.backends.memory.queue import StoredJob
from aioq.backends.memory.tick_history import Ring, wire
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
from aioq.model.job import NewJob
from aioq.model.states import FINAL_STATES, JobState

__all__ = ["ALLOWED_FUTURE", "Admit", "Bid", "Bids", "Entry", "Find"]

ALLOWED_FUTURE = 1.0
"""Seconds by which a tick may be ahead of the broker's clock and still be won."""

Find = Callable[[str], StoredJob | None]
"""Finds a job by its id."""

Admit = Callable[[NewJob, float], None]
"""Stores a new job, at a moment."""

WON, PAUSED, BUSY, QUEUED = TickOutcome.WON, TickOutcome.PAUSED, TickOutcome.BUSY, TickOutcome.QUEUED


MOST = 10
"""Earlier claims that are remembered beside the latest."""

REPEATED = 120.0
"""Seconds for which they are."""


@dataclass(slots=True, eq=False)
class Bid:
    """A claim that spent ticks, and what it was answered."""

    claim: TickClaim
    at: float
    before: int | None
    """The mark that it replaced."""
    previous: int | None
    """The same, if it was set under the claim's fingerprint."""
    outcome: TickOutcome = TickOutcome.QUEUED

    def ticks(self) -> list[float]:
        """Return what it spent: the ticks after the mark before."""
        return [tick for tick in self.claim.ticks if self.before is None or wire(tick) > self.before]

    def jobs(self) -> list[NewJob]:
        """Return what is to be enqueued."""
        job, name, queue = self.claim.job, self.claim.name, self.claim.queue
        if job is None or self.outcome is not TickOutcome.WON:
            return []
        return [replace(job, id=tick_id(name, tick), queue=queue) for tick in self.ticks()]

    def reply(self, now: float) -> TickReply:
        """Return the answer."""
        if self.outcome is TickOutcome.QUEUED:
            return TickReply(outcome=TickOutcome.QUEUED, now=now)
        return TickReply(
            outcome=self.outcome,
            now=now,
            won=tuple(self.ticks()) if self.outcome is TickOutcome.WON else (),
            previous=None if self.previous is None else self.previous / 1000,
        )


@dataclass(slots=True, eq=False)
class Bids:
    """The latest one, and those before it."""

    latest: Bid | None = None
    earlier: list[Bid] = field(default_factory=list[Bid])
    """Newest first."""

    def find(self, claim: TickClaim) -> Bid | None:
        """Return what a claim repeats.

        With `cancel` only the latest one counts: the runs of the others have been replaced.
        """
        known = [self.latest, *([] if claim.overlap == "cancel" else self.earlier)]
        return next((bid for bid in known if bid and bid.claim.request_id == claim.request_id), None)

    def add(self, bid: Bid) -> Bid | None:
        """Make a bid the latest; return the one before if it was waiting, and so waits no more."""
        before, self.latest = self.latest, bid
        waited = before is not None and before.outcome is TickOutcome.QUEUED
        known = [*([] if before is None or waited else [before]), *self.earlier]
        self.earlier = [earlier for earlier in known if earlier.at > bid.at - REPEATED][:MOST]
        return before if waited else None


@dataclass(slots=True, eq=False)
class Run:
    """The run of the latest tick that was won."""

    tick: int
    worker_id: str
    until: float
    job_id: str | None = None
    ended: bool = False

    def goes_on(self, now: float, find: Find) -> bool:
        """Say whether there are signs of life: of a job, that it has not ended."""
        if self.ended or self.job_id is None:
            return not self.ended and self.until > now
        job = find(self.job_id)
        return job is not None and job.state not in FINAL_STATES

    def was_started(self, find: Find) -> bool:
        """Say whether a worker has begun with its job; one that was claimed too early and put back has not."""
        job = find(self.job_id or "")
        return job is not None and (job.state is JobState.RUNNING or job.attempt > 0)


@dataclass(slots=True, eq=False)
class Entry:
    """All that is known of one entry."""

    key: CronKey
    touched_at: float = 0.0
    definition: CronDefinition | None = None
    app: str = ""
    armed_at: float = 0.0
    retired_at: float | None = None
    pause: Pause | None = None
    last_tick: int | None = None
    fingerprint: str = ""
    """Under which the mark was set."""
    bids: Bids = field(default_factory=Bids)
    run: Run | None = None
    ring: Ring = field(default_factory=Ring)

    def define(self, definition: CronDefinition, app: str, now: float) -> None:
        """Make `definition` the entry's, and arm it if it would fire at other moments than before."""
        known = self.definition if self.retired_at is None else None
        woken = known is not None and definition.enabled and not known.enabled
        self.definition, self.app, self.retired_at = definition, app, None
        if known is None or woken or known.fingerprint != definition.fingerprint:
            self.arm(now)
            self.fingerprint = definition.fingerprint

    def arm(self, now: float) -> None:
        """Let the entry owe nothing of the past."""
        self.armed_at = now
        self.last_tick = max(self.last_tick or 0, wire(now))

    def claim(self, claim: TickClaim, now: float, find: Find) -> tuple[TickReply, list[NewJob]]:
        """Decide on a claim by the rules of `aioq.protocols.TickLedger.claim_tick`; return the jobs of what was won."""
        bid = self.bids.find(claim)
        if bid and bid.outcome is not QUEUED:
            return bid.reply(now), []
        if outcome := self._refusal(claim, now, waiting=bid is not None):
            return TickReply(outcome=outcome, now=now), []
        bid = bid or self._spend(claim, now)
        bid.outcome = self._outcome(claim, now, find)
        self._conclude(bid, now)
        return bid.reply(now), bid.jobs()

    def extend(self, run: TickRun, until: float) -> bool:
        """Let a run go on; False when another one has taken its place."""
        mine = self.run
        if mine is None:
            return True
        if (mine.tick, mine.worker_id) != (wire(run.tick), run.worker_id):
            return False
        mine.until = until
        return True

    def record(self, record: TickRecord) -> None:
        """Write down what became of a tick, and end its run if that is over."""
        self.ring.put(record)
        run = self.run
        if record.finished_at is None or run is None or run.tick != wire(record.tick):
            return
        if run.job_id is not None or run.worker_id == record.worker_id:
            run.ended = True

    def status(self, definition: CronDefinition, now: float, find: Find) -> CronStatus:
        """Return all of it but the ring."""
        success, last_tick = self.ring.latest_success, self.last_tick if definition.unique else None
        return CronStatus(
            definition=definition,
            app=self.app,
            armed_at=self.armed_at,
            last_tick=None if last_tick is None else last_tick / 1000,
            pause=self.pause,
            retired_at=self.retired_at,
            last=next(iter(self.ring.newest(1)), None),
            last_success=None if success is None else success / 1000,
            last_result=self.ring.latest_result,
            running=self._running(now, find),
            counts=self.ring.counts(),
        )

    def _running(self, now: float, find: Find) -> TickRun | None:
        run = self.run
        if run is None or not run.goes_on(now, find):
            return None
        return TickRun(name=self.key.name, queue=self.key.queue, tick=run.tick / 1000, worker_id=run.worker_id)

    def _refusal(self, claim: TickClaim, now: float, *, waiting: bool) -> TickOutcome | None:
        """Return why nothing is spent, if so; who waits has spent it already."""
        known, latest = self.definition, wire(claim.ticks[-1])
        if known and (self.retired_at is not None or not known.enabled or known.fingerprint != claim.fingerprint):
            return TickOutcome.SUPERSEDED
        if latest > wire(now + ALLOWED_FUTURE):
            return TickOutcome.EARLY
        lost = not waiting and self.last_tick is not None and latest <= self.last_tick
        return TickOutcome.LOST if lost else None

    def _spend(self, claim: TickClaim, now: float) -> Bid:
        """Make the claim's latest tick the mark; whoever waited with an earlier one waits no more."""
        previous = self.last_tick if self.fingerprint == claim.fingerprint else None
        bid = Bid(claim=claim, at=now, before=self.last_tick, previous=previous)
        passed = self.bids.add(bid)
        if passed is not None:
            self._skip(passed, TickReason.OVERLAP)
        self.last_tick, self.fingerprint = wire(claim.ticks[-1]), claim.fingerprint
        return bid

    def _outcome(self, claim: TickClaim, now: float, find: Find) -> TickOutcome:
        run = self.run
        if self.pause is not None:
            return PAUSED
        if run is None or claim.overlap not in ("skip", "queue_one") or not run.goes_on(now, find):
            return WON
        if claim.overlap == "skip":
            return BUSY
        if claim.job is not None:
            return WON if run.job_id is None or run.was_started(find) else BUSY
        return QUEUED

    def _conclude(self, bid: Bid, now: float) -> None:
        if bid.outcome is WON:
            self._fire(bid, now)
        elif bid.outcome is not QUEUED:
            self._skip(bid, TickReason.PAUSED if bid.outcome is PAUSED else TickReason.OVERLAP)

    def _fire(self, bid: Bid, now: float) -> None:
        claim, job_id = bid.claim, None
        for tick in bid.ticks():
            job_id = tick_id(claim.name, tick) if claim.job else None
            record = self._record(tick, TickStatus.FIRED)
            self.ring.put(replace(record, worker_id=claim.worker_id, fired_at=now, job_id=job_id))
        self.run = Run(wire(claim.ticks[-1]), claim.worker_id, now + claim.run, job_id)

    def _skip(self, bid: Bid, reason: TickReason) -> None:
        for tick in bid.ticks():
            self.ring.put(replace(self._record(tick, TickStatus.SKIPPED), reason=reason))

    def _record(self, tick: float, status: TickStatus) -> TickRecord:
        return TickRecord(name=self.key.name, queue=self.key.queue, tick=tick, status=status)
