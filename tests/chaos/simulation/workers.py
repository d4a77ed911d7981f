"""A fleet of real workers in simulated time, to which things are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

import anyio
from anyio.abc import TaskGroup

from aioq import Aarq, Worker
from aioq.backends.memory import MemoryBroker
from aioq.testing import VirtualClock
from tests.chaos.simulation.gated import GatedBroker, Machine, Way

__all__ = ["Seat", "Workers"]

Define = Callable[[Aarq, Callable[[dict[str, Any]], None]], None]
"""Gives an app its entries; their ticks are to be noted with the function."""


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
        self.fired = Counter[tuple[str, float]]()
        self.broker = MemoryBroker(clock=self.true)
        self.seats = [Seat() for _ in range(size)]
        self._define, self._lives = define, 0

    def start(self, tasks: TaskGroup, number: int) -> None:
        """Start a worker on a machine of its own."""
        seat, random = self.seats[number], self.random
        self._lives += 1
        seat.machine = Machine(self.true, ahead=random.uniform(-3600, 3600))
        seat.way, seat.scope = Way(random, lost=0.0), anyio.CancelScope()
        app = Aarq(GatedBroker(self.broker, seat.machine, self.way, seat.way), name="fleet")
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

    def _note(self, ctx: dict[str, Any]) -> None:
        scheduled_at: datetime = ctx["scheduled_at"]
        self.fired[ctx["cron_name"], scheduled_at.timestamp()] += 1


async def _live(worker: Worker, scope: anyio.CancelScope) -> None:
    with scope:
        await worker.run()
