"""A connection to the ledger: it is down now and then, loses replies, and counts grants.

Grants are counted on the ledger's side, so that a grant in a lost reply counts too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from aioq.errors import BrokerUnavailable
from aioq.model.cron import TickClaim, TickOutcome, TickReply
from tests.chaos.simulation.simulated_host import TrueClock
from tests.chaos.simulation.simulated_worker import Ledger

__all__ = ["LossyLedger", "Tally"]


@dataclass(slots=True)
class Tally:
    """The ticks that were granted, and the faults that happened."""

    granted: Counter[float] = field(default_factory=Counter[float])
    received: Counter[float] = field(default_factory=Counter[float])
    """Ticks whose grant a worker received; the others were lost with a worker or with a reply."""
    dropped: int = 0
    events: Counter[str] = field(default_factory=Counter[str])
    up: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """Spans of correct time during which a worker was up and not suspended."""

    def record_received(self, ticks: Sequence[float]) -> None:
        """Record ticks whose grant a worker has received."""
        self.received.update(ticks)

    def record_dropped(self, ticks: int) -> None:
        """Record ticks that their owner does not fire."""
        self.dropped += ticks

    @property
    def double(self) -> int:
        """Return the number of ticks that were granted more than once."""
        return sum(times > 1 for times in self.granted.values())

    def missed(self, ticks: list[float], seconds: float) -> list[float]:
        """Return ticks that were not granted although a worker was up before and `seconds` after them."""
        missed = [tick for tick in ticks if tick not in self.granted]
        return [tick for tick in missed if any(start < tick and tick + seconds < end for start, end in self.up)]


class LossyLedger:
    """Passes claims on to a ledger, and loses replies.

    Args:
        ledger: The ledger that grants ticks.
        true: The correct clock.
        random: The source of lost replies.
        tally: Where grants are counted.
        lost: Share of replies that are lost.
    """

    def __init__(self, ledger: Ledger, true: TrueClock, random: Random, tally: Tally, *, lost: float) -> None:
        self._ledger = ledger
        self._true = true
        self._random = random
        self._tally = tally
        self._lost = lost
        self._counted: set[str] = set()
        self.back = 0.0
        """When the outage of the broker ends."""

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Claim ticks; raise `BrokerUnavailable` if the broker is away or its reply is lost."""
        if self._true.now < self.back:
            raise BrokerUnavailable("the broker is away")
        reply = await self._ledger.claim_tick(claim)
        if reply.outcome is TickOutcome.WON and claim.request_id not in self._counted:
            self._counted.add(claim.request_id)  # a repeated claim gets the same reply again
            self._tally.granted.update(reply.won)
        if self._random.random() < self._lost:
            self._tally.events["reply lost"] += 1
            raise BrokerUnavailable("the reply was lost")
        return reply
