"""A fleet of real workers in simulated time, with random faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

import anyio
from anyio.abc import TaskGroup

from aioq import Aarq, Worker
from aioq.backends.memory import MemoryBroker
from aioq.testing import VirtualClock
from tests.chaos.simulation.faulty_broker import FaultyBroker, Grants, Machine, Network

__all__ = ["Workers"]

EVERY = 10.0
"""Average seconds between two faults."""
LONGEST = 30.0
"""Longest fault, in seconds."""

Define = Callable[[Aarq, Callable[[dict[str, Any]], Awaitable[None]]], None]
"""Defines the entries of an app; their function records a run."""


@dataclass(slots=True)
class Place:
    """A place for a worker, with a machine and a network of its own."""

    machine: Machine | None = None
    network: Network | None = None
    scope: anyio.CancelScope | None = None
    """The cancel scope of the worker."""


class Workers:
    """Real workers on one memory broker.

    Args:
        define: Defines the entries of their app.
        seed: The seed of all random faults.
        size: Number of workers.
        lost: Share of the broker's replies that are lost.
    """

    def __init__(self, define: Define, *, seed: int, size: int, lost: float) -> None:
        self.true = VirtualClock()
        self.random = Random(seed)
        self.network = Network(self.random, lost=lost)
        self.fired = Counter[tuple[str, float]]()
        self.grants = Grants()
        self.broker = MemoryBroker(clock=self.true)
        self.places = [Place() for _ in range(size)]
        self._define = define
        self._lives = 0

    def start(self, tasks: TaskGroup, number: int) -> None:
        """Start a worker on a new machine."""
        place, random = self.places[number], self.random
        self._lives += 1
        place.machine = Machine(self.true, ahead=random.uniform(-3600, 3600))
        place.network, place.scope = Network(random, lost=0.0), anyio.CancelScope()
        app = Aarq(FaultyBroker(self.broker, place.machine, self.grants, self.network, place.network), name="fleet")
        self._define(app, self._record)
        worker = Worker(app, id=f"worker-{self._lives}", clock=place.machine, handle_signals=False)
        tasks.start_soon(_live, worker, place.scope)

    def crash(self, number: int) -> None:
        """End a worker without its shutdown."""
        place = self.places[number]
        if place.scope and place.network and place.machine:
            place.network.down = True
            place.machine.resume()
            place.scope.cancel()
        place.scope = None

    async def disturb(self, tasks: TaskGroup, seconds: float) -> Counter[str]:
        """Let faults happen for `seconds`; return their counts. All faults are over at the end."""
        happened, end = Counter[str](), self.true.monotonic() + seconds
        while self.true.monotonic() < end:
            await self.true.advance(self.random.expovariate(1 / EVERY))
            happened[await self._disturb_once(tasks)] += 1
        return happened

    async def _disturb_once(self, tasks: TaskGroup) -> str:
        """Let a random fault happen to a worker, end it after a while, and return its name."""
        number, seconds = self.random.randrange(len(self.places)), self.random.uniform(0, LONGEST)
        machine = self.places[number].machine
        assert machine
        fault = self.random.choice(("crash", "suspend", "clock set", "outage"))
        if fault == "crash":
            self.crash(number)
            await self.true.advance(seconds)
            self.start(tasks, number)
        elif fault == "suspend":
            machine.suspend()
            await self.true.advance(seconds)
            machine.resume()
        elif fault == "outage":
            self.network.down = True
            await self.true.advance(seconds)
            self.network.down = False
        else:
            machine.step(self.random.uniform(-7200, 7200))
        return fault

    async def _record(self, ctx: dict[str, Any]) -> None:
        scheduled_at: datetime = ctx["scheduled_at"]
        self.fired[ctx["cron_name"], scheduled_at.timestamp()] += 1


async def _live(worker: Worker, scope: anyio.CancelScope) -> None:
    with scope:
        await worker.run()
