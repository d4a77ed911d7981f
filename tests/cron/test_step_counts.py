"""How much work things are, counted and not timed."""

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


def test_a_month_of_a_hundred_crons_is_a_step_for_each_tick_and_a_wake_for_each_moment() -> None:
    """No look at the clock in between, no tick asked for twice, though clocks are put forward in that month."""
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
    """Where croniter was asked to step from."""
    starts: list[datetime] = []

    get_next: Any = croniter.get_next

    def counting(self: Any, *args: Any, start_time: datetime) -> Any:
        starts.append(start_time)
        return get_next(self, *args, start_time=start_time)

    monkeypatch.setattr(croniter, "get_next", counting)
    return starts


def test_croniter_is_asked_once_for_each_day(asked: list[datetime]) -> None:
    """However many ticks there are on a day, in and out of daylight saving."""
    schedule = CronExpression("*/5 * * * 1-5", "Europe/Berlin")
    ticks = list(islice(schedule.occurrences(utc("2026-03-23 12:00")), 12 * 24 * 10))
    assert len(ticks) == 2_880
    assert len(asked) == 11


def test_croniter_is_not_asked_when_any_day_will_do(asked: list[datetime]) -> None:
    """There is nothing to find."""
    schedule = CronExpression("*/5 * * * *", "Europe/Berlin")
    assert len(list(islice(schedule.occurrences(utc("2026-03-23 12:00")), 3_000))) == 3_000
    assert asked == []
