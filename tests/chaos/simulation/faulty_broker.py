"""A worker's view in simulated time: a machine with a clock of its own, and a broker behind a faulty network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import TypeVar

import anyio

from aioq.backends.memory import MemoryBroker
from aioq.errors import BrokerUnavailable
from aioq.model.cron import (
    Attendance,
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

__all__ = ["FaultyBroker", "Grants", "Machine", "Network"]

T = TypeVar("T")

LOOK_UP = 1.0
SHORTEST = 1e-6
"""Shortest sleep in seconds; adding less to a float of seconds since 1970 changes nothing."""


class Machine:
    """A machine with a wrong wall clock, which can be suspended while others go on.

    It implements the Clock protocol: a sleep on it ends only while it runs.

    Args:
        true: The correct clock.
        ahead: Seconds by which its wall clock is ahead.
    """

    def __init__(self, true: VirtualClock, *, ahead: float) -> None:
        self._true = true
        self._ahead = ahead
        self._suspended_for = 0.0
        self._suspended_at = 0.0
        self._awake = anyio.Event()
        self._awake.set()

    def time(self) -> float:
        """Return its wall clock, in seconds since 1970."""
        return self._true.time() + self._ahead

    def monotonic(self) -> float:
        """Return the seconds for which it was not suspended."""
        now = self._true.monotonic() if self._awake.is_set() else self._suspended_at
        return now - self._suspended_for

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`, and until the machine runs."""
        await self._true.sleep(max(seconds, SHORTEST))
        await self._awake.wait()

    async def sleep_until(self, moment: float) -> None:
        """Wait until its wall clock shows `moment`, for a second at most, since the clock may be set meanwhile."""
        await self.sleep(min(moment - self.time(), LOOK_UP))

    async def wait_running(self) -> None:
        """Wait until the machine runs."""
        await self._awake.wait()

    def step(self, seconds: float) -> None:
        """Set its wall clock."""
        self._ahead += seconds

    def suspend(self) -> None:
        """Suspend the machine."""
        if self._awake.is_set():
            self._suspended_at = self._true.monotonic()
            self._awake = anyio.Event()

    def resume(self) -> None:
        """Resume the machine."""
        if not self._awake.is_set():
            self._suspended_for += self._true.monotonic() - self._suspended_at
            self._awake.set()


class Network:
    """The network between a worker and the broker: it is down now and then, and loses replies.

    Args:
        random: The source of lost replies.
        lost: Share of replies that are lost.
    """

    def __init__(self, random: Random, *, lost: float) -> None:
        self._random = random
        self._lost = lost
        self.down = False

    def send(self) -> None:
        """Pass a request; raise `BrokerUnavailable` if the network is down."""
        if self.down:
            raise BrokerUnavailable("the broker is away")

    def receive(self) -> None:
        """Pass a reply; raise `BrokerUnavailable` if it is lost."""
        if self.down or self._random.random() < self._lost:
            raise BrokerUnavailable("the reply was lost")


class Grants:
    """The ticks that the ledger has granted, counted by entry and tick, whether the reply arrived or not."""

    def __init__(self) -> None:
        self.won = Counter[tuple[str, float]]()
        self._known: set[str] = set()

    def record(self, claim: TickClaim, reply: TickReply) -> None:
        """Count the grants of a reply, once for each request."""
        if reply.outcome is TickOutcome.WON and claim.request_id not in self._known:
            self._known.add(claim.request_id)
            self.won.update((claim.name, tick) for tick in reply.won)


class FaultyBroker(MemoryBroker):
    """One worker's view of a memory broker that workers share.

    Args:
        shared: The broker.
        machine: The worker's machine; while it is suspended no call is sent and no reply is received.
        grants: Where grants are counted.
        networks: The networks that each call passes.
    """

    __slots__ = ("_grants", "_machine", "_networks")

    def __init__(self, shared: MemoryBroker, machine: Machine, grants: Grants, *networks: Network) -> None:
        # The state is one dictionary for all workers, also when the broker assigns an attribute anew. What belongs to
        # this worker alone is in the slots.
        self.__dict__ = shared.__dict__
        self._machine = machine
        self._grants = grants
        self._networks = networks

    async def time(self) -> float:
        """Return the broker's clock."""
        await self._send()
        return await self._receive(await super().time())

    async def register_crons(
        self, app: str, version: str, crons: Sequence[CronDefinition], *, ttl: float
    ) -> CronChanges:
        """Register entries."""
        await self._send()
        return await self._receive(await super().register_crons(app, version, crons, ttl=ttl))

    async def renew_registration(
        self, app: str, version: str, *, ttl: float, worker: Attendance | None = None
    ) -> Registration:
        """Renew a registration."""
        await self._send()
        return await self._receive(await super().renew_registration(app, version, ttl=ttl, worker=worker))

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Claim ticks."""
        await self._send()
        reply = await super().claim_tick(claim)
        self._grants.record(claim, reply)
        return await self._receive(reply)

    async def extend_runs(self, runs: Sequence[TickRun], *, seconds: float) -> list[TickRun]:
        """Extend runs."""
        await self._send()
        return await self._receive(await super().extend_runs(runs, seconds=seconds))

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Record ticks."""
        await self._send()
        await super().record_ticks(records)
        await self._receive(None)

    async def _send(self) -> None:
        await self._machine.wait_running()
        for network in self._networks:
            network.send()

    async def _receive(self, answer: T) -> T:
        await self._machine.wait_running()
        for network in self._networks:
            network.receive()
        return answer
