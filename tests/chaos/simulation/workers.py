"""A fleet of real workers in simulated time, to which things are done."""

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
from tests.chaos.simulation.gated import GatedBroker, Grants, Machine, Way

__all__ = ["Seat", "Workers"]

EVERY = 10.0
"""Seconds between two things that happen, on average."""
LONGEST = 30.0
"""Seconds that they last, at most."""

Define = Callable[[Aarq, Callable[[dict[str, Any]], Awaitable[None]]], None]
"""Gives an app its entries; the function notes a run by its context."""


@dataclass(slots=True)
class Seat:
    """A place in the fleet."""

    machine: Machine | None = None
    way: Way | None = None
    scope: anyio.CancelScope | None = None
    """Of the worker that is there."""


class Workers:
    """Real workers on one memory broker.

    Args:
        define: What entries their app has.
        seed: What happens is drawn from it.
        size: How many there are.
        lost: The part of the broker's replies that is lost.
    """

    def __init__(self, define: Define, *, seed: int, size: int, lost: float) -> None:
        self.true = VirtualClock()
        self.random = Random(seed)
        self.way = Way(self.random, lost=lost)
        self.fired, self.grants = Counter[tuple[str, float]](), Grants()
        self.broker = MemoryBroker(clock=self.true)
        self.seats = [Seat() for _ in range(size)]
        self._define, self._lives = define, 0

    def start(self, tasks: TaskGroup, number: int) -> None:
        """Start a worker on a machine of its own."""
        seat, random = self.seats[number], self.random
        self._lives += 1
        seat.machine = Machine(self.true, ahead=random.uniform(-3600, 3600))
        seat.way, seat.scope = Way(random, lost=0.0), anyio.CancelScope()
        app = Aarq(GatedBroker(self.broker, seat.machine, self.grants, self.way, seat.way), name="fleet")
        self._define(app, self._note)
        worker = Worker(app, id=f"worker-{self._lives}", clock=seat.machine, handle_signals=False)
        tasks.start_soon(_live, worker, seat.scope)

    def crash(self, number: int) -> None:
        """End a worker without its last words."""
        seat = self.seats[number]
        if seat.scope and seat.way and seat.machine:
            seat.way.shut = True
            seat.machine.resume()
            seat.scope.cancel()
        seat.scope = None

    async def live_through(self, tasks: TaskGroup, seconds: float) -> Counter[str]:
        """Let time pass, in which things happen; return what did. All is well again at the end."""
        happened, end = Counter[str](), self.true.monotonic() + seconds
        while self.true.monotonic() < end:
            await self.true.advance(self.random.expovariate(1 / EVERY))
            happened[await self._strike(tasks)] += 1
        return happened

    async def _strike(self, tasks: TaskGroup) -> str:
        """Do something bad to somebody, undo it a while later, and say what it was."""
        number, seconds = self.random.randrange(len(self.seats)), self.random.uniform(0, LONGEST)
        machine = self.seats[number].machine
        assert machine
        blow = self.random.choice(("crash", "suspend", "clock set", "outage"))
        if blow == "crash":
            self.crash(number)
            await self.true.advance(seconds)
            self.start(tasks, number)
        elif blow == "suspend":
            machine.suspend()
            await self.true.advance(seconds)
            machine.resume()
        elif blow == "outage":
            self.way.shut = True
            await self.true.advance(seconds)
            self.way.shut = False
        else:
            machine.step(self.random.uniform(-7200, 7200))
        return blow

    async def _note(self, ctx: dict[str, Any]) -> None:
        scheduled_at: datetime = ctx["scheduled_at"]
        self.fired[ctx["cron_name"], scheduled_at.timestamp()] += 1


async def _live(worker: Worker, scope: anyio.CancelScope) -> None:
    with scope:
        await worker.run()
