"""The search for the days and minutes that an expression matches."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from aioq_cron.days import CroniterDays, FieldStepper, day_stepper
from aioq_cron.parser import parse_fields
from tests.times import naive


def test_stepper_at_calendar_end_returns_none() -> None:
    """The last day and the last minute of the calendar are no error."""
    fields = parse_fields("30 12 * * *")
    stepper = FieldStepper(fields, day_stepper(fields))
    assert stepper.next_after(naive("9999-12-31 12:29")) == naive("9999-12-31 12:30")
    assert stepper.next_after(naive("9999-12-31 12:30")) is None
    assert stepper.next_after(datetime.max) is None


def test_days_search_without_match_raises() -> None:
    """Only the end of the calendar ends a search; if croniter finds nothing before that, the error is raised."""
    never = CroniterDays("30", "2", "*")
    with pytest.raises(ValueError, match="failed to find"):
        never.first_from(date(2026, 1, 1))
    assert never.first_from(date(9990, 1, 1)) is None
