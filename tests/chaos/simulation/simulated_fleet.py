"""A fleet in simulated time: workers have wrong clocks, are suspended, crash and come back.

The simulation never sleeps: it goes from event to event, so that a day takes seconds. The ledger is a real one.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random

from aioq.cron import CronEntry
from tests.chaos.simulation.lossy_ledger import LossyLedger, Tally
from tests.chaos.simulation.simulated_host import Host, TrueClock
from tests.chaos.simulation.simulated_worker import Ledger, SimulatedWorker

__all__ = ["Chaos", "Simulation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """Average seconds between two faults of a kind, for each worker."""

    crash: float = 400.0
    down: float = 60.0
    """Longest time that a worker is down after a crash, in seconds."""
    suspend: float = 400.0
    still: float = 200.0
    """Longest suspend of a machine, in seconds."""
    step: float = 200.0
    outage: float = 600.0
    """Average seconds between two outages of the broker."""
    away: float = 20.0
    """Longest outage of the broker, in seconds."""
    lost: float = 0.02
    """Share of replies that never arrive."""


@dataclass(slots=True)
class _Place:
    """A place for a worker, which is up, suspended or crashed."""

    life: int = 0
    """Number of the worker's life; 0 while it is down."""
    worker: SimulatedWorker | None = None
    host: Host | None = None
    up_since: float = 0.0
    asleep_until: float = 0.0


FaultAction = Callable[[_Place], Awaitable[None]]


class Simulation:
    """Runs simulated workers against a ledger, and disturbs them.

    Args:
        entry: The entry that the workers fire.
        ledger: The ledger that grants ticks.
        true: The correct clock, which the ledger may share.
        seed: The seed of all random faults.
        workers: Number of workers.
        chaos: How often each fault happens.
    """

    def __init__(
        self, entry: CronEntry, ledger: Ledger, true: TrueClock, *, seed: int, workers: int, chaos: Chaos
    ) -> None:
        self._entry = entry
        self._true = true
        self._chaos = chaos
        self._random = Random(seed)
        self._events: list[tuple[float, int, Callable[[], Awaitable[None]]]] = []
        self._sequence = count()
        self._lives = count(1)
        self._broker_back = 0.0
        self.tally = Tally()
        self._ledger = LossyLedger(ledger, true, self._random, self.tally, lost=chaos.lost)
        self._places = [_Place() for _ in range(workers)]

    async def run(self, seconds: float) -> Tally:
        """Simulate this many seconds."""
        end = self._true.now + seconds
        for place in self._places:
            await self._start(place)
        self._later(self._some(self._chaos.outage), self._lose_broker)
        while self._events and self._events[0][0] <= end:
            self._true.now, _, event = heapq.heappop(self._events)
            await event()
        self._true.now = end
        for place in self._places:
            self._record_up(place)
        return self.tally

    async def _start(self, place: _Place) -> None:
        if self._true.now < self._broker_back:
            self._later(
                self._random.uniform(0.1, 5), partial(self._start, place)
            )  # a worker reads the broker's clock at its start
            return
        life = place.life = next(self._lives)
        random, name = self._random, f"worker-{life}"
        host = place.host = Host(self._true, ahead=random.uniform(-3600, 3600), drift=random.uniform(-0.001, 0.001))
        place.worker = SimulatedWorker(name, self._entry, host, self._ledger, self.tally, random, self._true.now)
        place.up_since = self._true.now
        for fault, every in (
            (self._crash, self._chaos.crash), (self._suspend, self._chaos.suspend), (self._set_clock, self._chaos.step),
        ):  # fmt: skip
            self._later(self._some(every), partial(self._unless_crashed, place, life, fault))
        await self._step(place, life)

    async def _unless_crashed(self, place: _Place, life: int, fault: FaultAction) -> None:
        """Let a fault happen to a worker, unless the worker has crashed since."""
        if place.life == life:
            await fault(place)

    async def _step(self, place: _Place, life: int) -> None:
        if place.life != life:
            return
        if place.asleep_until > self._true.now:
            pause = place.asleep_until - self._true.now
        else:
            assert place.worker
            pause = await place.worker.step()
        self._later(pause, partial(self._step, place, life))

    async def _crash(self, place: _Place) -> None:
        self.tally.events["crash"] += 1
        self._record_up(place)
        place.life, place.asleep_until = 0, 0.0
        self._later(self._random.uniform(0, self._chaos.down), partial(self._start, place))

    async def _suspend(self, place: _Place) -> None:
        self.tally.events["suspend"] += 1
        self._record_up(place)
        place.asleep_until = self._true.now + self._random.uniform(0, self._chaos.still)
        assert place.host
        place.host.suspend()
        life = place.life
        self._later(place.asleep_until - self._true.now, partial(self._unless_crashed, place, life, self._wake))

    async def _wake(self, place: _Place) -> None:
        assert place.host
        place.host.resume()
        place.up_since, place.asleep_until = self._true.now, 0.0
        self._later(self._some(self._chaos.suspend), partial(self._unless_crashed, place, place.life, self._suspend))

    async def _set_clock(self, place: _Place) -> None:
        self.tally.events["step"] += 1
        assert place.host
        place.host.step(self._random.uniform(-7200, 7200))
        self._later(self._some(self._chaos.step), partial(self._unless_crashed, place, place.life, self._set_clock))

    async def _lose_broker(self) -> None:
        self.tally.events["outage"] += 1
        self._broker_back = self._ledger.back = self._true.now + self._random.uniform(0, self._chaos.away)
        self._later(self._some(self._chaos.outage), self._lose_broker)

    def _later(self, seconds: float, event: Callable[[], Awaitable[None]]) -> None:
        heapq.heappush(self._events, (self._true.now + seconds, next(self._sequence), event))

    def _some(self, average: float) -> float:
        return self._random.expovariate(1 / average)

    def _record_up(self, place: _Place) -> None:
        if place.life and place.asleep_until <= self._true.now:
            self.tally.up.append((place.up_since, self._true.now))
