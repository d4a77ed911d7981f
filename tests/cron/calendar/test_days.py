"""The search for the days that an expression matches."""

from __future__ import annotations

from datetime import date

import pytest

from aioq_cron.calendar.days import CroniterDays, MonthDays


def test_days_search_without_match_raises() -> None:
    """Only the end of the calendar ends a search; if croniter finds nothing before that, the error is raised."""
    never = CroniterDays("30", "2", "*")
    with pytest.raises(ValueError, match="failed to find"):
        never.first_from(date(2026, 1, 1))
    assert never.first_from(date(9990, 1, 1)) is None


def test_days_computed_search_without_match_ends() -> None:
    """A search for a day that no month has ends, long before the end of the calendar."""
    assert MonthDays([2], [30]).first_from(date(2026, 1, 1)) is None
    assert MonthDays([2], [], before_last=[29]).first_from(date(2026, 1, 1)) is None
