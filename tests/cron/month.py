"""A hundred crons as an app may have them, and a month in which they fire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import anyio

from aioq.cron import CronEntry, Tick
from aioq.cron.schedule import Schedule
from aioq.testing import VirtualClock
from aioq_cron import CronScheduler
from tests.cron.scripted_clock import entry
from tests.times import utc

START = utc("2026-03-01")
MONTH = timedelta(days=31)
ZONE = "Europe/Berlin"

EXPRESSIONS = [
    *(f"{minute} * * * *" for minute in range(0, 60, 3)),
    *(f"*/15 {hour}-{hour + 8} * * 1-5" for hour in range(15)),
    *(f"{minute} {hour} * * *" for hour in range(20) for minute in (0, 30)),
    *(f"{5 * day} 3 * * {day}" for day in range(7)),
    *(f"0 4 {day} * *" for day in range(1, 19)),
]


class CountingClock(VirtualClock):
    """A virtual clock that counts the sleeps."""

    def __init__(self, start: float) -> None:
        super().__init__(start)
        self.waits = 0

    async def sleep_until(self, moment: float) -> None:
        """Count the sleep, and wait."""
        self.waits += 1
        await super().sleep_until(moment)


def entries(schedules: Sequence[Schedule]) -> list[CronEntry]:
    """Return one entry for each schedule."""
    return [entry(schedule, f"e{number}") for number, schedule in enumerate(schedules)]


async def live(schedules: Sequence[Schedule]) -> tuple[list[Tick], int]:
    """Run the loop for a month; return the fired ticks and the number of sleeps."""
    clock, fired = CountingClock(START.timestamp()), list[Tick]()

    async def run() -> None:
        await CronScheduler().run(entries(schedules), fired.append, clock=clock)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await clock.advance(MONTH.total_seconds())
        tasks.cancel_scope.cancel()
    return fired, clock.waits
