"""Intersection: the moments that several schedules share; and the operators that combine schedules."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq.cron.schedule import Schedule
from aioq_cron import CronExpression, Every, Except, Intersection, Union
from tests.cron.schedules.example_schedules import (
    BERLIN,
    CHRISTMAS,
    HOURLY,
    SATURDAYS,
    SCHEDULES,
    STARTS,
    WORKDAYS,
    first,
    walk,
)
from tests.times import Listed, utc

MONTH_STARTS = CronExpression("0 9 1 * *", BERLIN)


def test_intersection_fires_common_ticks() -> None:
    """An Intersection fires when all parts do: on working days that begin a month."""
    assert first(Intersection(WORKDAYS, MONTH_STARTS), 3, "2026-01-02", BERLIN) == [
        "2026-04-01 09:00",
        "2026-05-01 09:00",
        "2026-06-01 09:00",
    ]


@given(st.lists(SCHEDULES, min_size=1, max_size=3), STARTS)
@settings(max_examples=25, deadline=None)
def test_intersection_equals_common_ticks_of_parts(schedules: list[Schedule], start: datetime) -> None:
    """An Intersection has the ticks that all its parts have, and no other tick."""
    end = start + timedelta(hours=30)
    ticks = [set(walk(schedule, start, end)) for schedule in schedules]
    assert list(walk(Intersection(*schedules), start, end)) == sorted(set.intersection(*ticks))


def test_intersection_without_common_ticks_returns_none() -> None:
    """Parts that never meet end the search after a bounded number of moments, and so does a part that has ended."""
    assert Intersection(WORKDAYS, CronExpression("0 10 * * *", BERLIN)).next_after(utc("2026-01-01")) is None
    assert Intersection(HOURLY, Listed((utc("2026-01-01 00:30"),))).next_after(utc("2026-01-01")) is None


def test_intersection_texts() -> None:
    """Text, words and canonical form name each part, and the canonical form does not depend on their order."""
    both = Intersection(WORKDAYS, MONTH_STARTS)
    assert str(both) == "0 9 * * 1-5 if also 0 9 1 * *"
    assert both.in_words() == "at 09:00 on Monday to Friday; but only if also at 09:00 on day 1 of the month"
    assert str(Except(both, CHRISTMAS)) == "(0 9 * * 1-5 if also 0 9 1 * *) except 2026-12-24 2026-12-25"
    assert both.canonical == Intersection(MONTH_STARTS, WORKDAYS, WORKDAYS).canonical
    assert eval(repr(both)) == both
    assert both.tz == WORKDAYS.tz


def test_intersection_clock_changes_have_common_runs_only() -> None:
    """Of the runs around a clock change those stay that all parts have."""
    halves, hours = CronExpression("*/30 * * * *", BERLIN), CronExpression("0 * * * *", BERLIN)
    october = utc("2026-10-01"), utc("2026-11-01")
    (some,) = Intersection(halves, hours).clock_changes(*october)
    assert some.runs == (utc("2026-10-25 00:00"), utc("2026-10-25 01:00"))
    assert some.effect.endswith("except for runs that not all have")
    (none,) = Intersection(hours, CronExpression("30 * * * *", BERLIN)).clock_changes(*october)
    assert (none.runs, none.effect.endswith("but not all have any of these runs")) == ((), True)


def test_intersection_refuses_what_is_no_schedule() -> None:
    """An empty Intersection, and a part that is not a schedule, are errors."""
    with pytest.raises(ValueError, match="^Intersection takes at least one schedule, got none$"):
        Intersection()
    with pytest.raises(TypeError, match="^Intersection takes schedules, which have a method next_after, got 5$"):
        Intersection(HOURLY, 5)  # type: ignore[arg-type]


def test_operators_combine_schedules() -> None:
    """`|`, `&` and `-` are Union, Intersection and Except; a chain of one operator is one combination."""
    daily = Every(timedelta(days=1))
    assert Union(HOURLY, WORKDAYS, SATURDAYS) == HOURLY | WORKDAYS | SATURDAYS
    assert Union(HOURLY, WORKDAYS, SATURDAYS) == HOURLY | (WORKDAYS | SATURDAYS)
    assert HOURLY & daily & WORKDAYS == Intersection(HOURLY, daily, WORKDAYS)
    assert Except(Except(WORKDAYS, CHRISTMAS), MONTH_STARTS) == WORKDAYS - CHRISTMAS - MONTH_STARTS
    assert (WORKDAYS | SATURDAYS) - {date(2026, 12, 24)} == Except(Union(WORKDAYS, SATURDAYS), {date(2026, 12, 24)})


def test_operators_take_schedules_of_other_classes() -> None:
    """A schedule that has `next_after` alone may stand on either side."""
    listed = Listed((utc("2026-01-01 10:00"),))
    assert listed | HOURLY == Union(listed, HOURLY)
    assert HOURLY | listed == Union(HOURLY, listed)
    assert listed & HOURLY == Intersection(listed, HOURLY)
    assert listed - HOURLY == Except(listed, HOURLY)
    assert (listed & HOURLY).previous_before(utc("2026-01-02")) == utc("2026-01-01 10:00")
    assert (HOURLY - listed).count(utc("2026-01-01"), utc("2026-01-02")) == 23


def test_operators_refuse_what_is_no_schedule() -> None:
    """A text has no zone, so the error says to write a CronExpression; other values are no schedules."""
    with pytest.raises(TypeError, match=r"write CronExpression\('0 9 \* \* \*'\)$"):
        HOURLY | "0 9 * * *"  # type: ignore[operator]
    with pytest.raises(TypeError, match="^Intersection takes schedules"):
        HOURLY & 5  # type: ignore[operator]
