"""The way to the ledger: it is closed now and then, loses replies, and counts what was granted.

It counts at the ledger's side, so that what was granted in a reply that never arrived counts too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from aioq.errors import BrokerUnavailable
from aioq.model.cron import TickClaim, TickOutcome, TickReply
from tests.chaos.simulation.host import TrueClock
from tests.chaos.simulation.worker import Ledger

__all__ = ["Gate", "Tally"]


@dataclass(slots=True)
class Tally:
    """What was granted, and what happened."""

    won: Counter[float] = field(default_factory=Counter[float])
    heard: Counter[float] = field(default_factory=Counter[float])
    """Ticks whose winner has learned of it; the others went down with a worker, or with a reply."""
    given_up: int = 0
    events: Counter[str] = field(default_factory=Counter[str])
    up: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """Spans of true time for which a worker was up, and awake."""

    def take(self, ticks: Sequence[float]) -> None:
        """Take note of what a worker learns that it has won."""
        self.heard.update(ticks)

    def give_up(self, ticks: int) -> None:
        """Take note of ticks that their owner does not fire."""
        self.given_up += ticks

    @property
    def double(self) -> int:
        """Ticks that were granted more than once."""
        return sum(times > 1 for times in self.won.values())

    def missed(self, ticks: list[float], patience: float) -> list[float]:
        """Return ticks that nobody won, although a worker was up from before to `patience` seconds after."""
        missed = [tick for tick in ticks if tick not in self.won]
        return [tick for tick in missed if any(start < tick and tick + patience < end for start, end in self.up)]


class Gate:
    """Passes claims on.

    Args:
        ledger: Who decides.
        true: The time.
        random: What decides which replies are lost.
        tally: Who counts.
        lost: The part of replies that is lost.
    """

    def __init__(self, ledger: Ledger, true: TrueClock, random: Random, tally: Tally, *, lost: float) -> None:
        self._ledger, self._true, self._random, self._tally, self._lost = ledger, true, random, tally, lost
        self._granted: set[str] = set()
        self.back = 0.0
        """When the broker is there again."""

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Ask the ledger; raise `BrokerUnavailable` when it is away, or its reply is lost."""
        if self._true.now < self.back:
            raise BrokerUnavailable("the broker is away")
        reply = await self._ledger.claim_tick(claim)
        if reply.outcome is TickOutcome.WON and claim.request_id not in self._granted:
            self._granted.add(claim.request_id)  # asked again, it says it again
            self._tally.won.update(reply.won)
        if self._random.random() < self._lost:
            self._tally.events["reply lost"] += 1
            raise BrokerUnavailable("the reply was lost")
        return reply
