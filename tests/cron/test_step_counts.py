"""How many steps the loop and the expressions need; steps are counted, not timed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice, takewhile
from typing import Any

import anyio
import pytest
from croniter import croniter

from aioq_cron import CronExpression, CronScheduler
from tests.cron import month
from tests.cron.scripted_clock import Steps
from tests.times import utc


def test_loop_month_takes_one_step_per_tick() -> None:
    """The loop wakes once for each moment with ticks, and asks for each tick once, also across a clock change."""
    schedules = [Steps(CronScheduler().parse(text, tz=month.ZONE)) for text in month.EXPRESSIONS]
    fired, waits = anyio.run(month.live, schedules)
    end = month.START + month.MONTH
    due = [tick for text in month.EXPRESSIONS for tick in takewhile(lambda tick: tick <= end, _ticks(text))]
    assert sorted(tick.scheduled_at for tick in fired) == sorted(due)
    assert {tick.first for tick in fired} == {None}
    assert waits == len(set(due)) + 1
    assert sum(schedule.asked for schedule in schedules) == len(due) + len(schedules)


def _ticks(text: str) -> Iterator[datetime]:
    return CronExpression(text, month.ZONE).occurrences(month.START)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Return the list of the dates that croniter is asked to step from."""
    starts: list[datetime] = []

    get_next: Any = croniter.get_next

    def counting(self: Any, *args: Any, start_time: datetime) -> Any:
        starts.append(start_time)
        return get_next(self, *args, start_time=start_time)

    monkeypatch.setattr(croniter, "get_next", counting)
    return starts


def test_croniter_asked_once_per_day(asked: list[datetime]) -> None:
    """The number of ticks on a day does not matter, with and without daylight saving."""
    schedule = CronExpression("*/5 * * * MON#5", "Europe/Berlin")
    ticks = list(islice(schedule.occurrences(utc("2026-03-23 12:00")), 12 * 24 * 10))
    assert len(ticks) == 2_880
    assert len(asked) == 11


@pytest.mark.parametrize("days", ["* * *", "* * 1-5", "1,15 * *", "13 * FRI", "L-3 * *"])
def test_croniter_not_asked_for_numbers(days: str, asked: list[datetime]) -> None:
    """Only last days, working days, and nth and last weekdays are croniter's."""
    schedule = CronExpression(f"*/5 * {days}", "Europe/Berlin")
    assert len(list(islice(schedule.occurrences(utc("2026-03-23 12:00")), 3_000))) == 3_000
    assert asked == []
