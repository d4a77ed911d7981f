"""Which ticks were won, in memory: one monotone mark per entry."""

from __future__ import annotations

from aioq.ticks import TickClaim, TickOutcome, TickReply

__all__ = ["ALLOWED_FUTURE", "MemoryTicks"]

ALLOWED_FUTURE = 1.0
"""Seconds by which a tick may be ahead of the broker's clock and still be won."""


class MemoryTicks:
    """The high-water marks of all entries, each with the fingerprint that set it."""

    def __init__(self) -> None:
        self._marks: dict[tuple[str, str], tuple[float, str]] = {}

    def claim(self, claim: TickClaim, now: float) -> TickReply:
        """Decide on a tick by the three rules of `aioq.protocols.TickLedger.claim_tick`."""
        if claim.tick > now + ALLOWED_FUTURE:
            return TickReply(outcome=TickOutcome.EARLY, now=now)
        mark, fingerprint = self._marks.get((claim.queue, claim.name), (None, ""))
        if mark is not None and mark >= claim.tick:
            return TickReply(outcome=TickOutcome.LOST, now=now)
        self._marks[claim.queue, claim.name] = (claim.tick, claim.fingerprint)
        previous = mark if fingerprint == claim.fingerprint else None
        return TickReply(outcome=TickOutcome.WON, now=now, previous=previous)
