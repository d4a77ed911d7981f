"""What a real worker sees of the world in simulated time: a clock of its own, and a way to the broker that fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import TypeVar

import anyio

from aioq.backends.memory import MemoryBroker
from aioq.errors import BrokerUnavailable
from aioq.model.cron import (
    CronChanges,
    CronDefinition,
    Registration,
    TickClaim,
    TickOutcome,
    TickRecord,
    TickReply,
    TickRun,
)
from aioq.testing import VirtualClock

__all__ = ["GatedBroker", "Grants", "Machine", "Way"]

T = TypeVar("T")

LOOK_UP = 1.0
SHORTEST = 1e-6
"""Seconds that a sleep takes at least: of fewer, sums of floats take no notice."""


class Machine:
    """A machine whose wall clock is wrong, and that stands still while others go on.

    It is a clock: what sleeps on it wakes when it goes on.

    Args:
        true: The time.
        ahead: Seconds that its wall clock is ahead.
    """

    def __init__(self, true: VirtualClock, *, ahead: float) -> None:
        self._true, self._ahead = true, ahead
        self._still, self._stopped_at = 0.0, 0.0
        self._awake = anyio.Event()
        self._awake.set()

    def time(self) -> float:
        """Return its wall clock, in seconds since 1970."""
        return self._true.time() + self._ahead

    def monotonic(self) -> float:
        """Return the seconds that it has run."""
        now = self._true.monotonic() if self._awake.is_set() else self._stopped_at
        return now - self._still

    async def sleep(self, seconds: float) -> None:
        """Wait for so long, and until it runs."""
        await self._true.sleep(max(seconds, SHORTEST))
        await self._awake.wait()

    async def sleep_until(self, moment: float) -> None:
        """Wait until its wall clock shows `moment`, for a second at most: it may be set meanwhile."""
        await self.sleep(min(moment - self.time(), LOOK_UP))

    async def running(self) -> None:
        """Wait until it runs."""
        await self._awake.wait()

    def step(self, seconds: float) -> None:
        """Set its wall clock."""
        self._ahead += seconds

    def suspend(self) -> None:
        """Stand still."""
        if self._awake.is_set():
            self._stopped_at, self._awake = self._true.monotonic(), anyio.Event()

    def resume(self) -> None:
        """Go on."""
        if not self._awake.is_set():
            self._still += self._true.monotonic() - self._stopped_at
            self._awake.set()


class Way:
    """The way to the broker: shut now and then, and it loses replies.

    Args:
        random: What decides which replies are lost.
        lost: The part of replies that is lost.
    """

    def __init__(self, random: Random, *, lost: float) -> None:
        self._random, self._lost = random, lost
        self.shut = False

    def there(self) -> None:
        """Go there; raise `BrokerUnavailable` when it is shut."""
        if self.shut:
            raise BrokerUnavailable("the broker is away")

    def back(self) -> None:
        """Come back with a reply; raise `BrokerUnavailable` when it is lost."""
        if self.shut or self._random.random() < self._lost:
            raise BrokerUnavailable("the reply was lost")


class Grants:
    """What the ledger has granted, by entry and tick: counted when it is granted, heard of or not."""

    def __init__(self) -> None:
        self.won = Counter[tuple[str, float]]()
        self._known: set[str] = set()

    def note(self, claim: TickClaim, reply: TickReply) -> None:
        """Take note of an answer, once for each request."""
        if reply.outcome is TickOutcome.WON and claim.request_id not in self._known:
            self._known.add(claim.request_id)
            self.won.update((claim.name, tick) for tick in reply.won)


class GatedBroker(MemoryBroker):
    """A memory broker shared with others, as one worker reaches it.

    Args:
        shared: The broker.
        machine: The worker's; while it stands still nothing is asked, and no answer is heard.
        grants: Who counts what is granted.
        ways: All of them must be open.
    """

    __slots__ = ("_grants", "_machine", "_ways")

    def __init__(self, shared: MemoryBroker, machine: Machine, grants: Grants, *ways: Way) -> None:
        self.__dict__ = shared.__dict__  # the same store; what belongs to one worker is in slots
        self._machine = machine
        self._grants = grants
        self._ways = ways

    async def time(self) -> float:
        """Return the broker's clock."""
        await self._there()
        return await self._back(await super().time())

    async def register_crons(
        self, app: str, version: str, crons: Sequence[CronDefinition], *, ttl: float
    ) -> CronChanges:
        """Register entries."""
        await self._there()
        return await self._back(await super().register_crons(app, version, crons, ttl=ttl))

    async def renew_registration(self, app: str, version: str, *, ttl: float) -> Registration:
        """Say that a worker is up."""
        await self._there()
        return await self._back(await super().renew_registration(app, version, ttl=ttl))

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide who fires ticks."""
        await self._there()
        reply = await super().claim_tick(claim)
        self._grants.note(claim, reply)
        return await self._back(reply)

    async def extend_runs(self, runs: Sequence[TickRun], *, seconds: float) -> list[TickRun]:
        """Show signs of life."""
        await self._there()
        return await self._back(await super().extend_runs(runs, seconds=seconds))

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Write down what became of ticks."""
        await self._there()
        await super().record_ticks(records)
        await self._back(None)

    async def _there(self) -> None:
        await self._machine.running()
        for way in self._ways:
            way.there()

    async def _back(self, answer: T) -> T:
        await self._machine.running()
        for way in self._ways:
            way.back()
        return answer
