"""A clock that jumps at given times, and a function that runs the loop on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anyio
from anyio.lowlevel import checkpoint

from aioq.clock import MAX_SLEEP
from aioq.cron import CronEntry, Tick
from aioq.cron.schedule import Schedule
from aioq_cron import CronScheduler


@dataclass(frozen=True)
class ClockJump:
    """A jump of the wall and the monotonic clock, in seconds, after `at` seconds of sleep."""

    at: float
    wall: float
    monotonic: float = 0.0


def step(at: float, seconds: float) -> ClockJump:
    """Return a jump for a wall clock that is set forwards or backwards."""
    return ClockJump(at, seconds)


def suspend(at: float, seconds: float) -> ClockJump:
    """Return a jump for a machine that sleeps: its monotonic clock stands still meanwhile."""
    return ClockJump(at, seconds)


def block(at: float, seconds: float) -> ClockJump:
    """Return a jump for a blocked event loop: both clocks go on."""
    return ClockJump(at, seconds, seconds)


@dataclass
class ScriptedClock:
    """A clock that advances only while the loop sleeps; a sleep ends after the jumps that fall into it."""

    start: datetime
    jumps: Sequence[ClockJump] = ()
    until: float = 120.0
    """Seconds of sleep after which the loop is stopped."""
    early: float = 0.0
    """Seconds by which a sleep ends before it should."""
    still: bool = False
    """Whether the monotonic clock stands still."""
    looks: list[float] = field(default_factory=list[float])
    """The wall clock after each sleep, in seconds since 1970."""
    asked: list[float] = field(default_factory=list[float])
    """The requested length of each sleep, in seconds."""
    yields: int = 0

    def __post_init__(self) -> None:
        self.slept = 0.0
        self._wall = self.start.timestamp()
        self._monotonic = 0.0
        self._left = sorted(self.jumps, key=lambda jump: jump.at)
        self._ended = anyio.Event()

    def time(self) -> float:
        """Return the wall clock."""
        return self._wall

    def monotonic(self) -> float:
        """Return the monotonic clock."""
        return 0.0 if self.still else self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Let time pass, with the jumps that are due."""
        await checkpoint()
        if seconds == 0:
            self.yields += 1
            return
        self.asked.append(seconds)
        self._pass(max(seconds - self.early if seconds > 2 * self.early else seconds, 1e-6))
        if self.slept >= self.until:
            self._ended.set()
            await anyio.sleep_forever()
        self.looks.append(self._wall)

    async def sleep_until(self, moment: float) -> None:
        """Sleep as the system's clock does: for a second at most, since the wall clock may be set meanwhile."""
        await self.sleep(min(max(0.0, moment - self._wall), MAX_SLEEP))

    def lose(self, seconds: float) -> None:
        """Let time pass without a sleep, as a slow function does."""
        self._wall += seconds
        self._monotonic += seconds

    async def ended(self) -> None:
        """Wait until the loop has slept for `until` seconds."""
        await self._ended.wait()

    def _pass(self, seconds: float) -> None:
        self.slept += seconds
        self._wall += seconds
        self._monotonic += seconds
        while self._left and self._left[0].at <= self.slept:
            jump = self._left.pop(0)
            self._wall += jump.wall
            self._monotonic += jump.monotonic


class Steps:
    """A schedule that counts its calls and forwards them to another; equal only to itself."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.asked = 0

    def next_after(self, instant: datetime) -> datetime | None:
        """Count the call and forward it."""
        self.asked += 1
        return self.schedule.next_after(instant)


def entry(schedule: Schedule, name: str = "entry") -> CronEntry:
    """Return an entry whose function is never called."""
    return CronEntry(name=name, function=entry, schedule=schedule)


async def play(
    clock: ScriptedClock, *entries: CronEntry, fire: Callable[[Tick], None] | None = None
) -> list[tuple[str, str]]:
    """Run the loop until the clock ends it; return names and times of the ticks it fired."""
    fired: list[tuple[str, str]] = []

    def note(tick: Tick) -> None:
        assert clock.time() >= tick.scheduled_at.timestamp()
        assert tick.scheduled_at.tzinfo is UTC
        fired.append((tick.entry.name, f"{tick.scheduled_at:%m-%d %H:%M:%S}"))
        if fire is not None:
            fire(tick)

    async def run() -> None:
        await CronScheduler().run(entries, note, clock=clock)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await clock.ended()
        tasks.cancel_scope.cancel()
    return fired
