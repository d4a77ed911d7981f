"""The claims of one entry that spent ticks, as far back as one of them may be repeated."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from aioq.backends.memory.ring import wire
from aioq.ids import tick_id
from aioq.job import NewJob
from aioq.ticks import TickClaim, TickOutcome, TickReply

__all__ = ["Bid", "Bids"]

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
