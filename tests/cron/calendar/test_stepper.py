"""Runs in skipped and repeated hours follow the rules of Debian's cron, in many zones."""

from __future__ import annotations

from datetime import datetime

import pytest

from aioq_cron import CronExpression
from aioq_cron.calendar.stepper import FieldStepper
from aioq_cron.expression.parser import parse_fields
from tests.times import local, naive, runs, shown, utc

FIXED_TIMES = [
    # Repeated hours: the first pass only.
    ("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", ["2026-10-25 02:30 +02:00", "2026-10-26 02:30 +01:00"]),
    ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00", ["2026-04-05 01:45 +11:00", "2026-04-06 01:45 +10:30"]),
    ("30 23 * * *", "America/Sao_Paulo", "2019-02-16 12:00", ["2019-02-16 23:30 -02:00", "2019-02-17 23:30 -03:00"]),
    ("30 2 * * *", "Africa/Casablanca", "2026-02-14 12:00", ["2026-02-15 02:30 +01:00", "2026-02-16 02:30 +00:00"]),
    ("30 1 * * *", "Europe/Dublin", "2026-10-24 12:00", ["2026-10-25 01:30 +01:00", "2026-10-26 01:30 +00:00"]),
    ("30 1 * * *", "Antarctica/Troll", "2026-10-24 12:00", ["2026-10-25 01:30 +02:00", "2026-10-26 01:30 +00:00"]),
    # Skipped hours: once, at the first moment after the gap.
    ("30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", ["2026-03-29 03:00 +02:00", "2026-03-30 02:30 +02:00"]),
    ("0-59 2 * * *", "Europe/Berlin", "2026-03-28 12:00", ["2026-03-29 03:00 +02:00", "2026-03-30 02:00 +02:00"]),
    ("30 2,3 * * *", "Europe/Berlin", "2026-03-28 12:00", ["2026-03-29 03:00 +02:00", "2026-03-29 03:30 +02:00"]),
    ("0 2,3 * * *", "Europe/Berlin", "2026-03-28 12:00", ["2026-03-29 03:00 +02:00", "2026-03-30 02:00 +02:00"]),
    ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00", ["2026-10-04 02:30 +11:00", "2026-10-05 02:15 +11:00"]),
    ("30 0 * * *", "America/Sao_Paulo", "2018-11-03 12:00", ["2018-11-04 01:00 -02:00", "2018-11-05 00:30 -02:00"]),
    ("30 2 * * *", "Africa/Casablanca", "2026-03-21 12:00", ["2026-03-22 03:00 +01:00", "2026-03-23 02:30 +01:00"]),
    ("30 1 * * *", "Europe/Dublin", "2026-03-28 12:00", ["2026-03-29 02:00 +01:00", "2026-03-30 01:30 +01:00"]),
    ("30 1,2 * * *", "Antarctica/Troll", "2026-03-28 12:00", ["2026-03-29 03:00 +02:00", "2026-03-30 01:30 +02:00"]),
    # A clock change of more than three hours does not count as daylight saving.
    ("0 3 * * *", "Antarctica/Casey", "2009-10-17 12:00", ["2009-10-18 05:00 +11:00", "2009-10-19 03:00 +11:00"]),
    ("0 9 * * *", "Pacific/Apia", "2011-12-28 12:00", ["2011-12-29 09:00 -10:00", "2011-12-31 09:00 +14:00"]),
    ("0 9 * * *", "Pacific/Kwajalein", "1969-09-29 12:00", ["1969-09-30 09:00 +11:00", "1969-09-30 09:00 -12:00"]),
]


@pytest.mark.parametrize(("expression", "zone", "after", "expected"), FIXED_TIMES)
def test_fixed_time_fires_once_per_clock_change(expression: str, zone: str, after: str, expected: list[str]) -> None:
    """A fixed time fires in the first pass of a repeated hour, and at the end of a gap that skips it."""
    assert runs(expression, zone, after, 2) == expected


WILDCARDS = [
    ("0 */2 * * *", "Europe/Berlin", "2026-03-29 00:30", ["2026-03-29 04:00 +02:00", "2026-03-29 06:00 +02:00"]),
    ("*/30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", ["2026-03-30 02:00 +02:00", "2026-03-30 02:30 +02:00"]),
    ("30 * * * *", "Europe/Berlin", "2026-03-29 01:00", ["2026-03-29 01:30 +01:00", "2026-03-29 03:30 +02:00"]),
    ("@hourly", "Europe/Berlin", "2026-10-25 01:30", ["2026-10-25 02:00 +02:00", "2026-10-25 02:00 +01:00"]),
    ("*/30 2 * * *", "Europe/Berlin", "2026-10-25 02:00", ["2026-10-25 02:30 +02:00", "2026-10-25 02:00 +01:00"]),
    ("*/7 1 * * *", "Australia/Lord_Howe", "2026-04-05 01:50", ["2026-04-05 01:56 +11:00", "2026-04-05 01:35 +10:30"]),
    ("30 * * * *", "Antarctica/Troll", "2026-10-25 02:00", ["2026-10-25 02:30 +02:00", "2026-10-25 01:30 +00:00"]),
    ("* 12 30 12 *", "Pacific/Apia", "2010-12-30 12:58", ["2010-12-30 12:59 -10:00", "2012-12-30 12:00 +14:00"]),
]


@pytest.mark.parametrize(("expression", "zone", "after", "expected"), WILDCARDS)
def test_wildcard_follows_the_wall_clock(expression: str, zone: str, after: str, expected: list[str]) -> None:
    """A wildcard fires in both passes of a repeated hour, and not in a skipped hour."""
    assert runs(expression, zone, after, 2) == expected


def test_next_after_in_second_pass() -> None:
    """From a start in the second pass a wildcard fires in that pass, and a fixed time fires on the next day."""
    second_pass = local("2026-10-25 02:15", "Europe/Berlin", fold=1)
    wildcard = CronExpression("*/30 2 * * *", "Europe/Berlin").next_after(second_pass)
    fixed = CronExpression("30 2 * * *", "Europe/Berlin").next_after(second_pass)
    assert (wildcard, fixed) == (utc("2026-10-25 01:30"), utc("2026-10-26 01:30"))


def test_fixed_time_after_repeated_hour() -> None:
    """A fixed time after the repeated hour fires when the clocks show it for the first time."""
    after = local("2026-10-25 02:59", "Europe/Berlin")
    assert CronExpression("0 2,3 * * *", "Europe/Berlin").next_after(after) == utc("2026-10-25 02:00")


def test_next_after_at_the_edges_of_a_gap() -> None:
    """The run at the end of a gap is after every start before the gap ends, and before every later start."""
    schedule = CronExpression("30 2 * * *", "Europe/Berlin")
    gap = utc("2026-03-29 01:00")
    assert schedule.next_after(utc("2026-03-29 00:59:59.999999")) == gap
    assert schedule.next_after(gap) == utc("2026-03-30 00:30")


def test_offset_with_seconds_fires_on_local_minutes() -> None:
    """A zone whose offset has seconds, as before 1900, fires on its own whole minutes."""
    first = CronExpression("0 12 * * *", "Europe/Berlin").next_after(utc("1850-01-01"))
    assert first == utc("1850-01-01 11:06:32")


def test_utc_has_no_clock_changes() -> None:
    """An expression without a zone fires in UTC, and every day has 24 hours."""
    schedule = CronExpression("30 2 * * *")
    assert shown([schedule.next_after(utc("2026-03-29")) or utc("1970-01-01")], "UTC") == ["2026-03-29 02:30 +00:00"]


def test_stepper_at_calendar_end_returns_none() -> None:
    """The last day and the last minute of the calendar are no error."""
    fields = parse_fields("30 12 * * *")
    stepper = FieldStepper(fields)
    assert stepper.next_after(naive("9999-12-31 12:29")) == naive("9999-12-31 12:30")
    assert stepper.next_after(naive("9999-12-31 12:30")) is None
    assert stepper.next_after(datetime.max) is None
