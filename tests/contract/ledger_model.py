"""A ledger of one entry in the plainest words: what it answers to any bid, and what it has written down."""

from __future__ import annotations

from dataclasses import dataclass, field

from aioq.model.cron import CronCounts, TickClaim, TickOutcome

__all__ = ["LedgerModel", "ModelBid", "ModelRun", "ms"]


def ms(moment: float) -> int:
    """Return a moment in whole milliseconds."""
    return round(moment * 1000)


@dataclass
class ModelRun:
    """The run of the latest tick that was won."""

    tick: int
    worker: str
    until: int
    is_job: bool
    ended: bool = False


@dataclass
class ModelBid:
    """An accepted claim: it moved the last tick."""

    claim: TickClaim
    at: int
    outcome: TickOutcome
    spent: tuple[float, ...]
    previous: int | None


@dataclass
class LedgerModel:
    """All that is known of the entry."""

    now: int = 0
    registered: str | None = None
    retired: bool = False
    paused: bool = False
    last_tick: int | None = None
    last_tick_fingerprint: str = ""
    armed: int = 0
    bid: ModelBid | None = None
    """The latest one."""
    earlier: list[ModelBid] = field(default_factory=list[ModelBid])
    run: ModelRun | None = None
    won: set[int] = field(default_factory=set[int])
    waiting: list[int] = field(default_factory=list[int])
    """Ticks whose jobs nobody has begun with."""
    started: list[int] = field(default_factory=list[int])
    """Ticks whose jobs run."""
    told: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    """Status and reason by tick."""

    def answer(self, claim: TickClaim) -> ModelBid:
        """Decide on a claim, in the order of the rules."""
        repeated = self._repeated(claim)
        if repeated and repeated.outcome is not TickOutcome.QUEUED:
            return repeated
        if refusal := self._refusal(claim, waited=repeated is not None):
            return ModelBid(claim, self.now, refusal, (), None)
        if repeated is None:
            if self.bid and self.bid.outcome is TickOutcome.QUEUED:
                self._tell(self.bid.spent, "skipped", "overlap")
            elif self.bid:
                self.earlier.append(self.bid)
            self.earlier = [bid for bid in self.earlier if bid.at > self.now - 120_000][-10:]
            spent = tuple(tick for tick in claim.ticks if self.last_tick is None or ms(tick) > self.last_tick)
            previous = self.last_tick if self.last_tick_fingerprint == claim.fingerprint else None
            self.bid = ModelBid(claim, self.now, TickOutcome.QUEUED, spent, previous)
            self.last_tick = ms(claim.ticks[-1])
            self.last_tick_fingerprint = claim.fingerprint
        assert self.bid is not None
        self.bid.outcome = self._decide(claim)
        self._carry_out(self.bid)
        return self.bid

    def goes_on(self) -> bool:
        """Whether the latest run shows signs of life."""
        run = self.run
        if run is None or run.ended:
            return False
        return run.tick in [*self.waiting, *self.started] if run.is_job else run.until > self.now

    def register(self, fingerprint: str | None) -> tuple[bool, bool, bool]:
        """Make the entry the app's, or retire it; return whether it was added, changed or removed."""
        live = self.registered is not None and not self.retired
        if fingerprint is None:
            self.retired = self.registered is not None
            return False, False, live
        changed = self.registered != fingerprint
        if not live or changed:
            self.arm()
            self.last_tick_fingerprint = fingerprint
        self.registered = fingerprint
        self.retired = False
        return not live, live and changed, False

    def arm(self) -> None:
        """Let the entry owe nothing of the past."""
        self.last_tick = max(self.now, self.last_tick or 0)
        self.armed = self.now

    def end(self, tick: int, worker: str) -> None:
        """Write down that a run ended well."""
        self.told[tick] = ("ok", "")
        if self.run and self.run.tick == tick and (self.run.is_job or self.run.worker == worker):
            self.run.ended = True

    def counts(self) -> CronCounts:
        """Return how many ticks ended how."""
        statuses = [status for status, _ in self.told.values()]
        ok, skipped = statuses.count("ok"), statuses.count("skipped")
        return CronCounts(fired=statuses.count("fired") + ok, ok=ok, skipped=skipped)

    def _repeated(self, claim: TickClaim) -> ModelBid | None:
        known = [] if claim.overlap == "cancel" else [*self.earlier]
        known += [self.bid] if self.bid else []
        return next((bid for bid in known if bid.claim.request_id == claim.request_id), None)

    def _refusal(self, claim: TickClaim, *, waited: bool) -> TickOutcome | None:
        latest = ms(claim.ticks[-1])
        if self.retired or self.registered not in (None, claim.fingerprint):
            return TickOutcome.SUPERSEDED
        if latest > self.now + 1000:
            return TickOutcome.EARLY
        return TickOutcome.LOST if not waited and self.last_tick is not None and latest <= self.last_tick else None

    def _decide(self, claim: TickClaim) -> TickOutcome:
        run = self.run
        if self.paused:
            return TickOutcome.PAUSED
        if claim.overlap in ("allow", "cancel") or run is None or not self.goes_on():
            return TickOutcome.WON
        if claim.overlap == "skip":
            return TickOutcome.BUSY
        if claim.job is None:
            return TickOutcome.QUEUED
        return TickOutcome.BUSY if run.is_job and run.tick in self.waiting else TickOutcome.WON

    def _carry_out(self, bid: ModelBid) -> None:
        claim = bid.claim
        if bid.outcome is TickOutcome.WON:
            ticks = [ms(tick) for tick in bid.spent]
            assert not self.won.intersection(ticks), "a tick is won twice"
            self.won.update(ticks)
            self._tell(bid.spent, "fired", "")
            self.waiting += ticks if claim.job else []
            self.run = ModelRun(ticks[-1], claim.worker_id, self.now + ms(claim.run), claim.job is not None)
        elif bid.outcome is not TickOutcome.QUEUED:
            self._tell(bid.spent, "skipped", "paused" if bid.outcome is TickOutcome.PAUSED else "overlap")

    def _tell(self, ticks: tuple[float, ...], status: str, why: str) -> None:
        self.told.update((ms(tick), (status, why)) for tick in ticks)
