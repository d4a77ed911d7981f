"""A model of a ledger of one entry: its answers to claims, and its records."""

from __future__ import annotations

from dataclasses import dataclass, field

from aioq.model.cron import CronCounts, TickClaim, TickOutcome

__all__ = ["LedgerModel", "ModelClaim", "ModelRun", "ms"]


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
class ModelClaim:
    """An accepted claim: it moved the last tick."""

    claim: TickClaim
    at: int
    outcome: TickOutcome
    decided: tuple[float, ...]
    previous: int | None


@dataclass
class LedgerModel:
    """The state of the entry."""

    now: int = 0
    registered: str | None = None
    version: str = ""
    version_until: int = 0
    retired: bool = False
    paused: bool = False
    last_tick: int | None = None
    last_tick_fingerprint: str = ""
    armed: int = 0
    latest: ModelClaim | None = None
    """The latest accepted claim."""
    earlier: list[ModelClaim] = field(default_factory=list[ModelClaim])
    run: ModelRun | None = None
    won: set[int] = field(default_factory=set[int])
    waiting: list[int] = field(default_factory=list[int])
    """Ticks whose jobs no worker has started."""
    started: list[int] = field(default_factory=list[int])
    """Ticks whose jobs were started and have not ended."""
    records: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    """Status and reason by tick."""

    def answer(self, claim: TickClaim, *, checks_registration: bool = True) -> ModelClaim:
        """Decide on a claim, in the order of the rules; those of a stored schedule do not ask for a registration."""
        repeated = self._repeated(claim)
        if repeated and repeated.outcome is not TickOutcome.QUEUED:
            return repeated
        if checks_registration and (self.retired or self.registered not in (None, claim.fingerprint)):
            return ModelClaim(claim, self.now, TickOutcome.SUPERSEDED, (), None)
        if rejection := self._rejection(claim, waited=repeated is not None):
            return ModelClaim(claim, self.now, rejection, (), None)
        if repeated is None:
            if self.latest and self.latest.outcome is TickOutcome.QUEUED:
                self._record(self.latest.decided, "skipped", "overlap")
            elif self.latest:
                self.earlier.append(self.latest)
            self.earlier = [claim for claim in self.earlier if claim.at > self.now - 120_000][-10:]
            decided = tuple(tick for tick in claim.ticks if self.last_tick is None or ms(tick) > self.last_tick)
            previous = self.last_tick if self.last_tick_fingerprint == claim.fingerprint else None
            self.latest = ModelClaim(claim, self.now, TickOutcome.QUEUED, decided, previous)
            self.last_tick = ms(claim.ticks[-1])
            self.last_tick_fingerprint = claim.fingerprint
        assert self.latest is not None
        self.latest.outcome = self._decide(claim)
        self._apply(self.latest)
        return self.latest

    def is_going_on(self) -> bool:
        """Return whether the latest run is going on."""
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

    def renew(self, version: str, until: int) -> str:
        """Keep a version registered if it is the registered one; return the registered one, or an empty text."""
        if self.version_until <= self.now:
            return ""
        if version == self.version:
            self.version_until = until
        return self.version

    def arm(self) -> None:
        """Move the last tick to now, so that no earlier tick is owed."""
        self.last_tick = max(self.now, self.last_tick or 0)
        self.armed = self.now

    def end(self, tick: int, worker: str) -> None:
        """Record that a run ended without an error."""
        self.records[tick] = ("ok", "")
        if self.run and self.run.tick == tick and (self.run.is_job or self.run.worker == worker):
            self.run.ended = True

    def counts(self) -> CronCounts:
        """Return the number of ticks by status."""
        statuses = [status for status, _ in self.records.values()]
        ok, skipped = statuses.count("ok"), statuses.count("skipped")
        missed = statuses.count("missed")
        return CronCounts(fired=statuses.count("fired") + ok, ok=ok, skipped=skipped, missed=missed)

    def _repeated(self, claim: TickClaim) -> ModelClaim | None:
        known = [] if claim.overlap == "cancel" else [*self.earlier]
        known += [self.latest] if self.latest else []
        return next((one for one in known if one.claim.request_id == claim.request_id), None)

    def _rejection(self, claim: TickClaim, *, waited: bool) -> TickOutcome | None:
        newest = ms(claim.ticks[-1])
        if newest > self.now + 1000:
            return TickOutcome.EARLY
        return TickOutcome.LOST if not waited and self.last_tick is not None and newest <= self.last_tick else None

    def _decide(self, claim: TickClaim) -> TickOutcome:
        run = self.run
        if self.paused:
            return TickOutcome.PAUSED
        if claim.overlap in ("allow", "cancel") or run is None or not self.is_going_on():
            return TickOutcome.WON
        if claim.overlap == "skip":
            return TickOutcome.BUSY
        if claim.job is None:
            return TickOutcome.QUEUED
        return TickOutcome.BUSY if run.is_job and run.tick in self.waiting else TickOutcome.WON

    def _apply(self, accepted: ModelClaim) -> None:
        claim = accepted.claim
        if accepted.outcome is TickOutcome.WON:
            ticks = [ms(tick) for tick in accepted.decided]
            assert not self.won.intersection(ticks), "a tick is won twice"
            self.won.update(ticks)
            self._record(accepted.decided, "fired", "")
            self.waiting += ticks if claim.job else []
            self.run = ModelRun(ticks[-1], claim.worker_id, self.now + ms(claim.run), claim.job is not None)
        elif accepted.outcome is not TickOutcome.QUEUED:
            self._record(accepted.decided, "skipped", "paused" if accepted.outcome is TickOutcome.PAUSED else "overlap")

    def _record(self, ticks: tuple[float, ...], status: str, why: str) -> None:
        self.records.update((ms(tick), (status, why)) for tick in ticks)
