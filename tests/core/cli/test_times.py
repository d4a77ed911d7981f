"""How commands write moments, and spans of time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from aioq.cli.times import format_duration, format_near, format_time, format_times, parse_time, zone_of

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)
"""In Berlin it is the 6th already."""


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (datetime(2026, 1, 6, 0, 10, tzinfo=BERLIN), "00:10"),
        (datetime(2026, 1, 6, 9, 0, 30, tzinfo=BERLIN), "09:00:30"),
        (datetime(2026, 1, 5, 9, tzinfo=BERLIN), "Mon 09:00"),
        (datetime(2026, 1, 12, 9, tzinfo=BERLIN), "Mon 09:00"),
        (datetime(2025, 12, 30, 9, tzinfo=BERLIN), "2025-12-30 09:00"),
        (datetime(2026, 1, 13, 9, tzinfo=BERLIN), "2026-01-13 09:00"),
    ],
)
def test_a_moment_is_as_short_as_it_can_be(moment: datetime, said: str) -> None:
    """Today the time is enough, and within a week the weekday; today is where the moment is."""
    assert format_near(moment, NOW) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0.00 s"), (0.004, "0.00 s"), (0.02, "0.02 s"), (9.99, "9.99 s"), (14.4, "14 s"), (119.0, "119 s"),
        (120.0, "2 min"), (7199.0, "119 min"), (7200.0, "2 h"), (172_799.0, "47 h"), (172_800.0, "2 d"),
    ],
)  # fmt: skip
def test_a_span_has_two_or_three_figures(seconds: float, said: str) -> None:
    """Counted in the largest unit of which there are at least two."""
    assert format_duration(seconds) == said


def test_a_moment_has_seconds_only_if_there_are_some() -> None:
    """Schedules by the minute are the rule."""
    assert format_time(NOW) == "2026-01-05 23:30+00:00"
    assert format_time(NOW.replace(second=5), weekday=True) == "Mon 2026-01-05 23:30:05+00:00"
    assert format_time(NOW.replace(microsecond=5_000)) == "2026-01-05 23:30:00.005+00:00"


def test_moments_below_each_other_are_alike() -> None:
    """If one has seconds all have: a column is easier to read."""
    assert format_times([NOW, NOW.replace(second=30)]) == ["2026-01-05 23:30:00+00:00", "2026-01-05 23:30:30+00:00"]
    assert format_times([]) == []


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-29", "2026-03-29T00:00:00+01:00"),
        ("2026-03-29T03:30", "2026-03-29T03:30:00+02:00"),
        ("2026-03-29 00:30Z", "2026-03-29T01:30:00+01:00"),
        ("2026-10-25T02:30", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:30+01:00", "2026-10-25T02:30:00+01:00"),
    ],
)
def test_a_moment_without_an_offset_is_read_in_the_zone(text: str, moment: str) -> None:
    """With one it is what it says; of a time that comes twice, the first is meant."""
    assert parse_time("--from", text, BERLIN).isoformat() == moment


def test_a_zone_that_has_no_name_is_shown_in_utc() -> None:
    """An entry may have a zone that was read from a file."""
    assert zone_of("zoneinfo.ZoneInfo.from_file(...)").key == "UTC"
    assert zone_of("").key == "UTC"
