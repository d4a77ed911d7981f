"""A fleet in simulated time: workers whose clocks are wrong, that stand still, crash and come back.

Nothing sleeps: the simulation goes from event to event, so that a day takes seconds. The ledger
is a real one.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random

from aioq.cron import CronEntry
from tests.chaos.simulation.gate import Gate, Tally
from tests.chaos.simulation.host import Host, TrueClock
from tests.chaos.simulation.worker import Ledger, SimulatedWorker

__all__ = ["Chaos", "Simulation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """How often what happens, on average: seconds between two of a kind, for each worker."""

    crash: float = 400.0
    down: float = 60.0
    """Seconds that a worker is gone after a crash, at most."""
    suspend: float = 400.0
    still: float = 200.0
    """Seconds that a machine stands still, at most."""
    step: float = 200.0
    outage: float = 600.0
    """For the broker."""
    away: float = 20.0
    """Seconds that the broker is away, at most."""
    lost: float = 0.02
    """The part of replies that never arrive."""


@dataclass(slots=True)
class _Seat:
    """A place in the fleet."""

    life: int = 0
    """Which of all lives is lived here; 0 for none."""
    worker: SimulatedWorker | None = None
    host: Host | None = None
    up_since: float = 0.0
    asleep_until: float = 0.0


Happening = Callable[[_Seat], Awaitable[None]]


class Simulation:
    """Runs workers against a ledger, and does things to them.

    Args:
        entry: What they fire.
        ledger: Who decides.
        true: The time, which the ledger may share.
        seed: What happens is drawn from it.
        workers: How many there are.
        chaos: How bad it is.
    """

    def __init__(
        self, entry: CronEntry, ledger: Ledger, true: TrueClock, *, seed: int, workers: int, chaos: Chaos
    ) -> None:
        self._entry, self._true, self._chaos = entry, true, chaos
        self._random = Random(seed)
        self._events: list[tuple[float, int, Callable[[], Awaitable[None]]]] = []
        self._sequence = count()
        self._lives = count(1)
        self._broker_back = 0.0
        self.tally = Tally()
        self._gate = Gate(ledger, true, self._random, self.tally, lost=chaos.lost)
        self._seats = [_Seat() for _ in range(workers)]

    async def run(self, seconds: float) -> Tally:
        """Let so much time pass."""
        end = self._true.now + seconds
        for seat in self._seats:
            await self._start(seat)
        self._later(self._some(self._chaos.outage), self._lose_broker)
        while self._events and self._events[0][0] <= end:
            self._true.now, _, event = heapq.heappop(self._events)
            await event()
        self._true.now = end
        for seat in self._seats:
            self._note_up(seat)
        return self.tally

    # What happens

    async def _start(self, seat: _Seat) -> None:
        if self._true.now < self._broker_back:
            self._later(self._random.uniform(0.1, 5), partial(self._start, seat))  # it cannot ask what time it is
            return
        life = seat.life = next(self._lives)
        random, name = self._random, f"worker-{life}"
        host = seat.host = Host(self._true, ahead=random.uniform(-3600, 3600), drift=random.uniform(-0.001, 0.001))
        seat.worker = SimulatedWorker(name, self._entry, host, self._gate, self.tally, random, self._true.now)
        seat.up_since = self._true.now
        for happening, every in (
            (self._crash, self._chaos.crash), (self._suspend, self._chaos.suspend), (self._set_clock, self._chaos.step),
        ):  # fmt: skip
            self._later(self._some(every), partial(self._live, seat, life, happening))
        await self._step(seat, life)

    async def _live(self, seat: _Seat, life: int, happening: Happening) -> None:
        """Let something happen to a worker, unless it has crashed meanwhile."""
        if seat.life == life:
            await happening(seat)

    async def _step(self, seat: _Seat, life: int) -> None:
        if seat.life != life:
            return
        if seat.asleep_until > self._true.now:
            pause = seat.asleep_until - self._true.now
        else:
            assert seat.worker
            pause = await seat.worker.step()
        self._later(pause, partial(self._step, seat, life))

    async def _crash(self, seat: _Seat) -> None:
        self.tally.events["crash"] += 1
        self._note_up(seat)
        seat.life, seat.asleep_until = 0, 0.0
        self._later(self._random.uniform(0, self._chaos.down), partial(self._start, seat))

    async def _suspend(self, seat: _Seat) -> None:
        self.tally.events["suspend"] += 1
        self._note_up(seat)
        seat.asleep_until = self._true.now + self._random.uniform(0, self._chaos.still)
        assert seat.host
        seat.host.suspend()
        life = seat.life
        self._later(seat.asleep_until - self._true.now, partial(self._live, seat, life, self._wake))

    async def _wake(self, seat: _Seat) -> None:
        assert seat.host
        seat.host.resume()
        seat.up_since, seat.asleep_until = self._true.now, 0.0
        self._later(self._some(self._chaos.suspend), partial(self._live, seat, seat.life, self._suspend))

    async def _set_clock(self, seat: _Seat) -> None:
        self.tally.events["step"] += 1
        assert seat.host
        seat.host.step(self._random.uniform(-7200, 7200))
        self._later(self._some(self._chaos.step), partial(self._live, seat, seat.life, self._set_clock))

    async def _lose_broker(self) -> None:
        self.tally.events["outage"] += 1
        self._broker_back = self._gate.back = self._true.now + self._random.uniform(0, self._chaos.away)
        self._later(self._some(self._chaos.outage), self._lose_broker)

    # How it is done

    def _later(self, seconds: float, event: Callable[[], Awaitable[None]]) -> None:
        heapq.heappush(self._events, (self._true.now + seconds, next(self._sequence), event))

    def _some(self, average: float) -> float:
        return self._random.expovariate(1 / average)

    def _note_up(self, seat: _Seat) -> None:
        if seat.life and seat.asleep_until <= self._true.now:
            self.tally.up.append((seat.up_since, self._true.now))
