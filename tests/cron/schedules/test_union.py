"""Union: a schedule that joins others."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from aioq.cron.schedule import Schedule
from aioq_cron import CronExpression, Union
from tests.cron.schedules.example_schedules import (
    BERLIN,
    HOURLY,
    SATURDAYS,
    SCHEDULES,
    STARTS,
    WORKDAYS,
    first,
    walk,
)
from tests.times import Listed, utc


def test_union_fires_ticks_of_all_parts() -> None:
    """A Union fires the ticks of its parts in the order of time."""
    assert first(Union(SATURDAYS, WORKDAYS), 3, "2026-01-02", BERLIN) == [
        "2026-01-02 09:00",
        "2026-01-03 12:00",
        "2026-01-05 09:00",
    ]


def test_union_common_tick_fires_once() -> None:
    """A tick of two parts fires once."""
    union = Union(HOURLY, CronExpression("0,30 * * * *"))
    assert first(union, 3, "2026-01-01") == ["2026-01-01 00:30", "2026-01-01 01:00", "2026-01-01 01:30"]


def test_union_ends_with_its_last_part() -> None:
    """A part without further ticks does not end the Union."""
    union = Union(Listed((utc("2026-01-01 10:00"),)), Listed((utc("2026-01-01 09:00"),)))
    assert first(union, 5, "2026-01-01") == ["2026-01-01 09:00", "2026-01-01 10:00"]


@given(st.lists(SCHEDULES, min_size=1, max_size=3), STARTS)
@settings(max_examples=60, deadline=None)
def test_union_equals_merge_of_parts(schedules: list[Schedule], start: datetime) -> None:
    """A Union has each tick of its parts, once and in order, and no other tick."""
    end = start + timedelta(hours=30)
    expected = sorted({tick for schedule in schedules for tick in walk(schedule, start, end)})
    assert list(walk(Union(*schedules), start, end)) == expected
