"""A simulated worker: it bids for the ticks of one entry, by the rules that real workers follow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Protocol

from aioq.clock import SteadyClock
from aioq.cron import CronEntry
from aioq.cron.misfire import decide, unclaimed
from aioq.errors import BrokerUnavailable
from aioq.model.cron import TickClaim, TickOutcome, TickReply
from aioq.worker.cron.due_ticks import owed_tick
from tests.chaos.simulation.host import Host

__all__ = ["Bids", "Ledger", "SimulatedWorker"]

SPREAD = 0.05
EARLY_WAKE = 0.02
"""Seconds by which a timer may wake too early."""


class Ledger(Protocol):
    """The part of a ledger that is put to the test."""

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide who fires a tick."""
        ...


class Bids(Protocol):
    """Who keeps count of what a worker learns."""

    def take(self, ticks: Sequence[float]) -> None:
        """Take note of what a worker learns that it has won."""
        ...

    def give_up(self, ticks: int) -> None:
        """Take note of ticks that their owner does not fire."""
        ...


class SimulatedWorker:
    """One life of a worker, from its start to its crash.

    Each step returns the true seconds until the next one. A bid is repeated, under its
    request id, until it is answered: meanwhile further ticks may come due, and wait.
    """

    def __init__(
        self, name: str, entry: CronEntry, host: Host, ledger: Ledger, bids: Bids, random: Random, now: float
    ) -> None:
        self._name, self._entry, self._host = name, entry, host
        self._ledger, self._bids, self._random = ledger, bids, random
        self._clock = SteadyClock(host)
        self._clock.set(now)
        debt = owed_tick(entry, _moment(now))
        self._next = (debt.first or debt.scheduled_at) if debt else self._after(_moment(now))
        self._claim: TickClaim | None = None
        self._requests = 0

    async def step(self) -> float:
        """Do what is due, and return the seconds until there is more to do."""
        if self._claim is None:
            if (early := self._next.timestamp() - self._clock.time()) > 0:
                return max(0.001, early - self._random.random() * EARLY_WAKE)
            self._claim = self._bid()
            return self._random.random() * SPREAD
        return await self._ask(self._claim)

    def _bid(self) -> TickClaim | None:
        """Make a bid for what has come due, as the misfire policy has it."""
        now = _moment(self._clock.time())
        first = newest = self._next
        while (following := self._after(newest)) <= now:
            newest = following
        self._next = following
        decision = decide(self._entry, first, newest, now)
        self._bids.give_up(sum(group.count for group in decision.not_fired))
        if not decision.fire:
            return None
        self._requests += 1
        return TickClaim(
            name=self._entry.name,
            queue=self._entry.queue,
            ticks=tuple(tick.timestamp() for tick in decision.fire),
            fingerprint=self._entry.fingerprint,
            worker_id=self._name,
            request_id=f"{self._name}-{self._requests}",
        )

    async def _ask(self, claim: TickClaim) -> float:
        try:
            reply = await self._ledger.claim_tick(claim)
        except BrokerUnavailable:
            return self._random.uniform(0.1, 5)
        self._clock.set(reply.now)
        if reply.outcome is TickOutcome.EARLY:
            return max(0.001, claim.ticks[-1] - reply.now)
        self._claim = None
        if reply.outcome is TickOutcome.WON:
            self._bids.take(reply.won)
            if reply.previous is not None and reply.won:
                groups = unclaimed(self._entry, _moment(reply.previous), _moment(reply.won[0]))
                self._bids.give_up(sum(group.count for group in groups))
        return 0.0

    def _after(self, moment: datetime) -> datetime:
        following = self._entry.schedule.next_after(moment)
        assert following is not None
        return following


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
