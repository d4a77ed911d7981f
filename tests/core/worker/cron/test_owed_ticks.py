"""Schedules that are due together share the computation of what they owe, and each gets its own answer."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime

import pytest

from aioq import CronOptions
from aioq.cron import CronEntry
from aioq.worker.cron.owed_ticks import OwedTicks
from tests.core.plain_scheduler import START, EverySeconds

NOW = START + 95.5


def entry(options: CronOptions, seconds: float = 10) -> CronEntry:
    """Return the entry of a stored schedule."""
    return CronEntry(name="e", function=print, schedule=EverySeconds(seconds), unique=True, options=options)


@pytest.mark.parametrize(
    "options",
    [
        CronOptions(),
        CronOptions(misfire="all", catchup=45.0),
        CronOptions(misfire="skip", grace=3),
        CronOptions(jitter=9),
        CronOptions(enabled=False),
    ],
    ids=["once", "all", "skip", "jitter", "disabled"],
)
def test_shared_plan_is_that_of_each_schedule_alone(options: CronOptions) -> None:
    """Whatever was asked before, the plan of a schedule is that of a worker which asks for nothing else."""
    dice, one, other = random.Random(4), entry(options), entry(options, 60)
    together = OwedTicks(NOW, started_at=START + 70)
    for _ in range(300):
        since, asked = NOW - dice.randrange(0, 1200) / 10, dice.choice((one, other))
        alone = OwedTicks(NOW, started_at=START + 70).plan(asked, since)
        assert together.plan(asked, since) == alone, since


def test_plan_of_equal_schedules_asks_the_schedule_once() -> None:
    """A thousand schedules with one expression, put at different times, ask it as often as one does."""
    schedule = Counted(10)
    shared, owed = replace(entry(CronOptions()), schedule=schedule), OwedTicks(NOW, started_at=START)
    plan = owed.plan(shared, START + 80)
    asked = schedule.calls
    assert {owed.plan(shared, START + 80 + n / 1000) for n in range(1_000)} == {plan}
    assert (schedule.calls, asked > 0) == (asked, True)


class Counted(EverySeconds):
    """Counts how often it is asked."""

    calls = 0

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the next multiple."""
        Counted.calls += 1
        return super().next_after(instant)
