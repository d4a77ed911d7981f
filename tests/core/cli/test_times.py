"""Reading and printing times and durations."""

from __future__ import annotations

import time as process_time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from aioq.cli.times import format_duration, format_near, format_time, format_times, parse_time, parse_zone

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)
"""The 6th in Berlin."""


@pytest.mark.parametrize(
    ("time", "error"),
    [
        (datetime(2026, 1, 6, 0, 10, tzinfo=BERLIN), "00:10"),
        (datetime(2026, 1, 6, 9, 0, 30, tzinfo=BERLIN), "09:00:30"),
        (datetime(2026, 1, 5, 9, tzinfo=BERLIN), "Mon 09:00"),
        (datetime(2026, 1, 12, 9, tzinfo=BERLIN), "Mon 09:00"),
        (datetime(2025, 12, 30, 9, tzinfo=BERLIN), "2025-12-30 09:00"),
        (datetime(2026, 1, 13, 9, tzinfo=BERLIN), "2026-01-13 09:00"),
    ],
)
def test_format_near_is_as_short_as_possible(time: datetime, error: str) -> None:
    """Today a time has no date, and within a week the weekday; today depends on the zone of the time."""
    assert format_near(time, NOW) == error


@pytest.mark.parametrize(
    ("seconds", "error"),
    [
        (0.0, "0.00 s"), (0.004, "0.00 s"), (0.02, "0.02 s"), (9.99, "9.99 s"), (14.4, "14 s"), (119.0, "119 s"),
        (120.0, "2 min"), (7199.0, "119 min"), (7200.0, "2 h"), (172_799.0, "47 h"), (172_800.0, "2 d"),
    ],
)  # fmt: skip
def test_format_duration_uses_largest_fitting_unit(seconds: float, error: str) -> None:
    """A duration is at least two of its unit."""
    assert format_duration(seconds) == error


def test_format_time_omits_zero_seconds() -> None:
    """Most schedules have whole minutes."""
    assert format_time(NOW) == "2026-01-05 23:30+00:00"
    assert format_time(NOW.replace(second=5), weekday=True) == "Mon 2026-01-05 23:30:05+00:00"
    assert format_time(NOW.replace(microsecond=5_000)) == "2026-01-05 23:30:00.005+00:00"


def test_format_times_have_one_precision() -> None:
    """If one time has seconds, all have, so that a column is easy to read."""
    assert format_times([NOW, NOW.replace(second=30)]) == ["2026-01-05 23:30:00+00:00", "2026-01-05 23:30:30+00:00"]
    assert format_times([]) == []


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-29", "2026-03-29T00:00:00+01:00"),
        ("2026-03-29T03:30", "2026-03-29T03:30:00+02:00"),
        ("2026-03-29 00:30Z", "2026-03-29T01:30:00+01:00"),
        ("2026-10-25T02:30", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:30+01:00", "2026-10-25T02:30:00+01:00"),
    ],
)
def test_parse_time_without_offset_is_in_zone(text: str, time: str) -> None:
    """A time with an offset keeps it; a repeated hour means the first one."""
    assert parse_time("--from", text, BERLIN).isoformat() == time


@pytest.mark.parametrize(("name", "zone"), [("UTC+25", UTC), ("Europe/Berlin", None)])
def test_parse_zone_unusable_host_zone_is_utc(monkeypatch: pytest.MonkeyPatch, name: str, zone: object) -> None:
    """A host whose zone has an offset of more than a day shows times in UTC; any other uses its own zone."""
    monkeypatch.setenv("TZ", name)
    try:
        process_time.tzset()
        assert parse_zone(None) is zone
    finally:
        monkeypatch.undo()
        process_time.tzset()
