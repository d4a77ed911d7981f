"""The loop under restarts, suspends and clock steps: it fires each tick once and loses none."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aioq.cron import CronEntry, Tick, upcoming
from aioq.cron.schedule import Schedule
from aioq.testing import VirtualClock
from aioq_cron import CronExpression, CronScheduler, Every, Except, Union
from tests.cron.scripted_clock import entry
from tests.times import utc

# Two hours before clocks are put forward in Berlin.
START = utc("2026-03-28 23:00").timestamp()
CORRECTION = 3 * 3_600.0

SIMPLE = st.one_of(
    st.builds(Every, st.integers(60, 5_000).map(lambda seconds: timedelta(seconds=seconds))),
    st.sampled_from(["*/7 * * * *", "30 2 * * *", "15,45 1-3 * * *", "*/20 2 * * *"]).map(
        lambda text: CronExpression(text, "Europe/Berlin")
    ),
)
SCHEDULES = (
    SIMPLE | st.builds(Union, SIMPLE, SIMPLE) | st.builds(Except, SIMPLE, st.just(CronExpression("*/10 2-4 * * *")))
)
SECONDS = st.integers(1, 30) | st.integers(60, 20_000) | st.floats(0.001, 100)


class LoopMachine(RuleBasedStateMachine):
    """The loop of one worker: it must deliver every tick after its start, up to the latest time of its clock."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = VirtualClock(START)
        self.entries: list[CronEntry] = []
        self.added = 0
        self.stall = 0.0
        self.delivered: dict[str, list[datetime]] = {}
        self.began = self.latest = START
        self.task: asyncio.Task[None] | None = None

    @initialize(schedules=st.lists(SCHEDULES, max_size=3))
    def start(self, schedules: list[Schedule]) -> None:
        """A worker starts with some entries."""
        for schedule in schedules:
            self._add(schedule)
        self._restart()

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        """Time passes without faults."""
        self._advance(seconds)

    @rule(seconds=SECONDS, back=st.booleans())
    def the_clock_is_stepped(self, seconds: float, back: bool) -> None:
        """An operator or NTP sets the wall clock; a step back of more than three hours is a correction."""
        self.clock.step(-seconds if back else seconds)
        self._advance(0)

    @rule(seconds=SECONDS)
    def the_machine_is_suspended(self, seconds: float) -> None:
        """The machine sleeps for a while, and the loop with it."""
        self.clock.suspend(seconds)
        self._advance(0)

    @rule(seconds=SECONDS, wait=st.integers(1, 4_000))
    def a_task_blocks_the_loop(self, seconds: float, wait: int) -> None:
        """The function of the next tick blocks the event loop."""
        self.stall = seconds
        self._advance(wait)

    @rule(schedule=SCHEDULES)
    def an_entry_is_added(self, schedule: Schedule) -> None:
        """A deploy restarts the worker with one more entry."""
        self._add(schedule)
        self._restart()

    @precondition(lambda self: self.entries)
    @rule(place=st.integers(0, 9))
    def an_entry_is_removed(self, place: int) -> None:
        """A deploy restarts the worker with one entry less."""
        del self.entries[place % len(self.entries)]
        self._restart()

    @rule(down=st.just(0) | st.integers(1, 5_000))
    def the_worker_crashes(self, down: int) -> None:
        """The worker is started again after a while, and must not deliver ticks of the time between."""
        self._stop()
        self._run(down)
        self._restart()

    @invariant()
    def every_tick_is_delivered_once(self) -> None:
        """Each tick that came due is delivered once, in order."""
        for one in self.entries if self.task else ():
            began, latest = (datetime.fromtimestamp(moment, UTC) for moment in (self.began, self.latest))
            assert self.delivered[one.name] == upcoming(one.schedule, began, sys.maxsize, until=latest)

    @invariant()
    def the_loop_runs(self) -> None:
        """No fault ends the loop."""
        assert self.task is None or not self.task.done()

    def teardown(self) -> None:
        """Stop the loop and close the event loop."""
        self._stop()
        self.runner.close()

    def _add(self, schedule: Schedule) -> None:
        self.added += 1
        self.entries.append(entry(schedule, f"e{self.added}"))

    def _restart(self) -> None:
        self._stop()
        self._count_from_now()

        async def start() -> None:
            self.task = asyncio.create_task(CronScheduler().run(self.entries, self._fire, clock=self.clock))
            await self.clock.settle()

        self.runner.run(start())

    def _stop(self) -> None:
        async def stop(task: asyncio.Task[None]) -> None:
            task.cancel()
            await asyncio.wait([task])

        if self.task is not None:
            self.runner.run(stop(self.task))
            self.task = None

    def _count_from_now(self) -> None:
        """Count delivered ticks from now on."""
        self.began = self.latest = self.clock.time()
        self.delivered = {one.name: [] for one in self.entries}

    def _advance(self, seconds: float) -> None:
        if self.latest - self.clock.time() > CORRECTION:
            self._count_from_now()
        self._run(seconds)
        self.latest = max(self.latest, self.clock.time())

    def _run(self, seconds: float) -> None:
        async def run() -> None:
            await self.clock.advance(seconds)
            await self.clock.advance(0)  # the last tick may have blocked the loop

        self.runner.run(run())

    def _fire(self, tick: Tick) -> None:
        assert self.clock.time() >= tick.scheduled_at.timestamp()
        self.delivered[tick.entry.name] += _expanded(tick)
        stall, self.stall = self.stall, 0.0
        self.clock.suspend(stall)


def _expanded(tick: Tick) -> list[datetime]:
    """Return all ticks that one fired tick stands for."""
    if tick.first is None:
        return [tick.scheduled_at]
    assert tick.first < tick.scheduled_at
    start = tick.first - timedelta(microseconds=1)
    return upcoming(tick.entry.schedule, start, sys.maxsize, until=tick.scheduled_at)


TestLoopMachine = LoopMachine.TestCase
TestLoopMachine.settings = settings(max_examples=150, stateful_step_count=20, deadline=None)
