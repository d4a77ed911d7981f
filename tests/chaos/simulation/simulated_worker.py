"""A simulated worker: it claims the ticks of one entry by the rules of real workers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Protocol

from aioq.clock import SteadyClock
from aioq.cron import CronEntry
from aioq.cron.misfire import decide, unclaimed
from aioq.errors import BrokerUnavailable
from aioq.model.claim_order import SPREAD
from aioq.model.cron import TickClaim, TickOutcome, TickReply
from aioq.worker.cron.due_ticks import owed_tick
from tests.chaos.simulation.simulated_host import Host

__all__ = ["GrantRecorder", "Ledger", "SimulatedWorker"]

EARLY_WAKE = 0.02
"""Seconds by which a timer may wake too early."""


class Ledger(Protocol):
    """The method of a ledger that the simulation tests."""

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide which worker fires a tick."""
        ...


class GrantRecorder(Protocol):
    """Counts the grants that workers receive."""

    def record_received(self, ticks: Sequence[float]) -> None:
        """Record ticks whose grant a worker has received."""
        ...

    def record_dropped(self, ticks: int) -> None:
        """Record ticks that their owner does not fire."""
        ...


class SimulatedWorker:
    """One life of a worker, from its start to its crash.

    Each step returns the seconds of correct time until the next step. A claim is repeated under its request id until it
    is answered; ticks that come due meanwhile wait.
    """

    def __init__(
        self,
        name: str,
        entry: CronEntry,
        host: Host,
        ledger: Ledger,
        recorder: GrantRecorder,
        random: Random,
        now: float,
    ) -> None:
        self._name = name
        self._entry = entry
        self._ledger = ledger
        self._recorder = recorder
        self._random = random
        self._clock = SteadyClock(host)
        self._clock.set(now)
        debt = owed_tick(entry, _moment(now))
        self._next = (debt.first or debt.scheduled_at) if debt else self._after(_moment(now))
        self._claim: TickClaim | None = None
        self._requests = 0

    async def step(self) -> float:
        """Do what is due, and return the seconds until the next step."""
        if self._claim is None:
            if (early := self._next.timestamp() - self._clock.time()) > 0:
                return max(0.001, early - self._random.random() * EARLY_WAKE)
            self._claim = self._make_claim()
            # The favourite claims at once. Which worker is, and whether two are, does not matter here.
            return self._random.choice((0.0, self._random.random() * SPREAD))
        return await self._ask(self._claim)

    def _make_claim(self) -> TickClaim | None:
        """Make a claim for the due ticks that the misfire policy fires."""
        now = _moment(self._clock.time())
        first = newest = self._next
        while (following := self._after(newest)) <= now:
            newest = following
        self._next = following
        decision = decide(self._entry, first, newest, now)
        self._recorder.record_dropped(sum(group.count for group in decision.not_fired))
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
            self._recorder.record_received(reply.won)
            if reply.previous is not None and reply.won:
                groups = unclaimed(self._entry, _moment(reply.previous), _moment(reply.won[0]))
                self._recorder.record_dropped(sum(group.count for group in groups))
        return 0.0

    def _after(self, moment: datetime) -> datetime:
        following = self._entry.schedule.next_after(moment)
        assert following is not None
        return following


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
