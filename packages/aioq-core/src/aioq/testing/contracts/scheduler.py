"""Tests `aioq.cron.scheduler.Scheduler`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from aioq.cron import CronEntry, Tick
from aioq.cron.schedule import Schedule
from aioq.cron.scheduler import Scheduler
from aioq.testing.clock import VirtualClock

__all__ = ["SchedulerContract"]

START = datetime(2026, 1, 1, tzinfo=UTC)


class Seconds:
    """A schedule that fires every few whole seconds."""

    def __init__(self, step: int) -> None:
        self.step = step

    def next_after(self, instant: datetime) -> datetime:
        """Return the next multiple of the step."""
        passed = int((instant - START).total_seconds() // self.step)
        return START + timedelta(seconds=(passed + 1) * self.step)


class Never:
    """A schedule without ticks."""

    def next_after(self, instant: datetime) -> None:
        """Return None."""


class Broken:
    """A schedule that raises."""

    def next_after(self, instant: datetime) -> datetime:
        """Raise."""
        raise RuntimeError("no idea when")


def entry(name: str, schedule: Schedule) -> CronEntry:
    """Return an entry whose function is never called."""
    return CronEntry(name=name, function=entry, schedule=schedule)


class SchedulerContract:
    """The suite for `aioq.protocols.Scheduler`.

    Subclass it, give a fixture `scheduler`, and set `expression` to any expression of the
    scheduler's dialect that fires at least once a year.
    """

    pytestmark = pytest.mark.anyio

    expression = "* * * * *"
    nonsense = "this is no expression"

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        """The scheduler under test."""
        raise NotImplementedError(f"{type(self).__name__} must define a fixture named scheduler")

    async def fired(
        self,
        scheduler: Scheduler,
        entries: Sequence[CronEntry],
        drive: Callable[[VirtualClock], Awaitable[None]],
        *,
        fire: Callable[[Tick], None] | None = None,
    ) -> list[tuple[str, float]]:
        """Run the loop on a virtual clock while `drive` moves it; return names and seconds fired."""
        clock, seen = VirtualClock(START.timestamp()), list[tuple[str, float]]()

        def note(tick: Tick) -> None:
            # Inside the callback, as the clock goes on afterwards.
            assert clock.time() >= tick.scheduled_at.timestamp()
            seen.append((tick.entry.name, (tick.scheduled_at - START).total_seconds()))
            if fire is not None:
                fire(tick)

        async with anyio.create_task_group() as tg:

            async def run() -> None:
                await scheduler.run(entries, note, clock=clock)

            tg.start_soon(run)
            await clock.settle()
            await drive(clock)
            tg.cancel_scope.cancel()
        return seen

    def test_scheduler_implements_protocol(self, scheduler: Scheduler) -> None:
        """The object has all methods of `Scheduler`."""
        assert isinstance(scheduler, Scheduler)

    def test_parse_returns_schedule(self, scheduler: Scheduler) -> None:
        """Ticks of a schedule are aware, in UTC, strictly later than asked, and always the same."""
        schedule = scheduler.parse(self.expression)
        assert isinstance(schedule, Schedule)
        first = schedule.next_after(START)
        assert first is not None
        assert first > START
        assert first.utcoffset() == timedelta(0)
        second = schedule.next_after(first)
        assert second is not None
        assert second > first
        assert schedule.next_after(START) == first

    def test_parse_accepts_zone_name(self, scheduler: Scheduler) -> None:
        """`tz` may be the name of a zone; an unknown zone is rejected with its name."""
        assert scheduler.parse(self.expression, tz="Europe/Berlin").next_after(START) is not None
        with pytest.raises(ValueError, match="Nowhere/Land"):
            scheduler.parse(self.expression, tz="Nowhere/Land")

    def test_parse_invalid_expression_raises(self, scheduler: Scheduler) -> None:
        """An invalid expression raises ValueError."""
        with pytest.raises(ValueError, match=r"."):
            scheduler.parse(self.nonsense)

    async def test_loop_fires_each_tick_once_in_order(self, scheduler: Scheduler) -> None:
        """Entries fire at their own ticks, and never before them."""
        entries = [entry("three", Seconds(3)), entry("five", Seconds(5))]
        assert await self.fired(scheduler, entries, lambda clock: clock.advance(10)) == [
            ("three", 3),
            ("five", 5),
            ("three", 6),
            ("three", 9),
            ("five", 10),
        ]

    async def test_loop_fires_newest_of_several_due_ticks(self, scheduler: Scheduler) -> None:
        """After a jump of time an entry fires its newest due tick once, and continues from there."""

        async def jump(clock: VirtualClock) -> None:
            await clock.advance(2)
            clock.suspend(60.5)
            await clock.advance(2)

        assert await self.fired(scheduler, [entry("two", Seconds(2))], jump) == [("two", 2), ("two", 62), ("two", 64)]

    async def test_loop_reports_oldest_of_several_due_ticks(self, scheduler: Scheduler) -> None:
        """A tick that replaces several names the oldest of them; a single tick names none."""
        firsts: list[datetime | None] = []

        async def jump(clock: VirtualClock) -> None:
            await clock.advance(2)
            clock.suspend(60.5)
            await clock.advance(2)

        await self.fired(scheduler, [entry("two", Seconds(2))], jump, fire=lambda tick: firsts.append(tick.first))
        assert firsts == [None, START + timedelta(seconds=4), None]

    async def test_loop_clock_set_ahead_fires_soon(self, scheduler: Scheduler) -> None:
        """Ticks that come due because the wall clock was set ahead fire within about a second."""

        async def set_ahead(clock: VirtualClock) -> None:
            await clock.advance(5)
            clock.step(3_600)
            await clock.advance(2)

        assert await self.fired(scheduler, [entry("hourly", Seconds(3_600))], set_ahead) == [("hourly", 3_600)]

    async def test_loop_clock_set_back_fires_nothing_twice(self, scheduler: Scheduler) -> None:
        """Ticks that recur because the wall clock was set back are not fired again."""

        async def set_back(clock: VirtualClock) -> None:
            await clock.advance(10)
            clock.step(-8)
            await clock.advance(10)

        assert await self.fired(scheduler, [entry("five", Seconds(5))], set_back) == [("five", 5), ("five", 10)]

    async def test_loop_broken_entry_does_not_stop_others(self, scheduler: Scheduler) -> None:
        """Schedules that raise or end, and a callback that raises, do not affect other entries."""

        def fire(tick: Tick) -> None:
            if tick.entry.name == "angry":
                raise RuntimeError("no thanks")

        entries = [
            entry("broken", Broken()),
            entry("never", Never()),
            entry("angry", Seconds(2)),
            entry("two", Seconds(2)),
        ]
        seen = await self.fired(scheduler, entries, lambda clock: clock.advance(4), fire=fire)
        assert [at for name, at in seen if name == "two"] == [2, 4]

    async def test_loop_without_entries_waits(self, scheduler: Scheduler) -> None:
        """A loop without entries neither ends nor fires until it is cancelled."""
        assert await self.fired(scheduler, [], lambda clock: clock.advance(5)) == []
