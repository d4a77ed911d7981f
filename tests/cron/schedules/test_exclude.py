"""Except: a schedule without some of its ticks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zlib import crc32
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq.cron import upcoming
from aioq.cron.schedule import Schedule
from aioq_cron import CronExpression, Every, Except
from tests.cron.schedules.example_schedules import (
    BERLIN,
    CHRISTMAS,
    HOURLY,
    SCHEDULES,
    STARTS,
    WORKDAYS,
    Growing,
    Sundays,
    first,
    walk,
)
from tests.times import shown, utc


def test_except_drops_ticks_of_dates() -> None:
    """Except drops the ticks of the excluded dates and no others."""
    assert first(Except(WORKDAYS, CHRISTMAS), 2, "2026-12-23", BERLIN) == ["2026-12-23 09:00", "2026-12-28 09:00"]


def test_except_dates_are_in_the_schedules_zone() -> None:
    """23:30 UTC on the 24th is already the 25th in Berlin."""
    nightly = CronExpression("30 0 * * *", BERLIN)
    assert first(Except(nightly, [date(2026, 12, 25)]), 2, "2026-12-23 12:00") == [
        "2026-12-23 23:30",
        "2026-12-25 23:30",
    ]


def test_except_dates_in_another_zone() -> None:
    """`tz` sets the zone of the dates; without it, dates for a schedule without a zone are in UTC."""
    excluded = {date(2026, 12, 24)}
    daily = Every(timedelta(days=1))
    assert first(Except(daily, excluded, tz="America/New_York"), 2, "2026-12-23 12:00") == [
        "2026-12-24 00:00",
        "2026-12-26 00:00",
    ]
    assert first(Except(daily, excluded), 1, "2026-12-23 12:00") == ["2026-12-25 00:00"]


def test_except_drops_ticks_of_schedule() -> None:
    """Except drops the ticks that both schedules have."""
    tens = Except(CronExpression("0 9,10 * * *"), CronExpression("0 9 * * 4"))
    assert first(tens, 3, "2026-01-01") == ["2026-01-01 10:00", "2026-01-02 09:00", "2026-01-02 10:00"]


@pytest.mark.parametrize("excluded", [Sundays(), Growing("BY"), {date(2026, 1, 4): "Sunday"}, (date(2026, 1, 4),)])
def test_except_accepts_any_container_of_dates(excluded: object) -> None:
    """The container is asked with plain dates; a dict is asked for its keys."""
    schedule = Except(CronExpression("0 9 * * *"), excluded)  # type: ignore[arg-type]
    assert first(schedule, 3, "2026-01-02 12:00") == ["2026-01-03 09:00", "2026-01-05 09:00", "2026-01-06 09:00"]


def test_except_skips_a_day_in_one_step() -> None:
    """The search skips an excluded day in one step, however many ticks the day has."""
    schedule = Except(Every(timedelta(seconds=1)), {date(2026, 1, 1) + timedelta(days=day) for day in range(60)})
    assert schedule.next_after(utc("2026-01-01 05:00")) == utc("2026-03-02")


@pytest.mark.parametrize(
    ("zone", "excluded", "start", "expected"),
    [
        # Clocks are put back at midnight: 23:00 to 24:00 of the 20th comes twice.
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17 12:00", "2018-02-18 00:00 -03:00"),
        # Clocks are put forward at midnight: the day begins at 01:00.
        ("America/Sao_Paulo", "2018-11-03", "2018-11-03 12:00", "2018-11-04 01:00 -02:00"),
        # The 30th of December never was.
        ("Pacific/Apia", "2011-12-29", "2011-12-29 12:00", "2011-12-31 00:00 +14:00"),
    ],
)
def test_except_day_ends_with_the_zones_midnight(zone: str, excluded: str, start: str, expected: str) -> None:
    """If clocks change at midnight, an excluded day ends exactly where its zone says."""
    schedule = Except(CronExpression("*/30 * * * *", zone), {date.fromisoformat(excluded)})
    local = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    assert shown(upcoming(schedule, local.astimezone(UTC), 1), zone) == [expected]


def test_except_repeated_day_is_excluded_twice() -> None:
    """At Casey clocks went from 02:00 back to 23:00, so the 4th ended twice; both parts are excluded."""
    schedule = Except(CronExpression("*/30 * * * *", "Antarctica/Casey"), {date(2010, 3, 4)})
    assert shown(upcoming(schedule, utc("2010-03-04 12:50"), 2), "Antarctica/Casey") == [
        "2010-03-05 00:00 +11:00",
        "2010-03-05 00:30 +11:00",
    ]
    assert shown(upcoming(schedule, utc("2010-03-04 15:10"), 1), "Antarctica/Casey") == [
        "2010-03-05 00:00 +08:00",
    ]


def test_except_all_excluded_returns_none() -> None:
    """If every tick is excluded, `next_after` returns None after a bounded search."""

    class Always:
        def __contains__(self, day: object) -> bool:
            return True

    assert Except(CronExpression("* * * * *"), Always()).next_after(utc("2026-01-01")) is None
    assert Except(HOURLY, HOURLY).next_after(utc("2026-01-01")) is None
    assert Except(CronExpression("* * * * *"), Always()).next_after(utc("9999-12-31 23:00")) is None


@pytest.mark.parametrize(
    ("schedule", "excluded", "start", "expected"),
    [
        ("* * * * *", "* * * 1-11 *", "2026-01-01 12:00", "2026-12-01 00:00 +01:00"),
        ("*/5 9-17 * * 1-5", "* * * 1-11 *", "2026-03-01 12:00", "2026-12-01 09:00 +01:00"),
        ("0-59 0-23 * * *", "0-59 0-23 * 2-12 *", "2026-02-01 12:00", "2027-01-01 00:00 +01:00"),
        ("* * 29 2 *", "* * */28 2 1-6", "2026-02-01 12:00", "2032-02-29 00:00 +01:00"),
    ],
)
def test_except_skips_covered_days_whole(schedule: str, excluded: str, start: str, expected: str) -> None:
    """If an expression has all times of another, the days that both match are skipped whole, for years."""
    except_ = Except(CronExpression(schedule, BERLIN), CronExpression(excluded, BERLIN))
    assert shown(upcoming(except_, utc(start), 1), BERLIN) == [expected]


@pytest.mark.parametrize(
    ("schedule", "excluded", "expected"),
    [
        ("*/2 * * * * ?", "* * 0-11 ? * *", "2026-01-01 12:00 +01:00"),
        ("* * * * * ?", "* * * 1-30 * ?", "2026-01-31 00:00 +01:00"),
        ("*/5 * * ? * MON-FRI", "* * 8-23 ? * MON-FRI", "2026-01-02 00:00 +01:00"),
        ("0 0 9 * * ?", "0 0 9 * * ? 2026-2100", "2101-01-01 09:00 +01:00"),
        ("0 0 9 29 2 ?", "0 0 9 29 2 ? 2026-2095", "2096-02-29 09:00 +01:00"),
        ("0 0 9 * * ? 2026-2080", "0 0 9 * * ? 2026-2079", "2080-01-01 09:00 +01:00"),
    ],
)
def test_except_skips_covered_hours_and_years(schedule: str, excluded: str, expected: str) -> None:
    """With seconds more than ten thousand ticks are excluded in a few hours, and with years for longer than a search."""
    left, right = (CronExpression(text, BERLIN, dialect="quartz") for text in (schedule, excluded))
    assert shown(upcoming(left - right, utc("2026-01-01 07:00"), 1), BERLIN) == [expected]


@pytest.mark.parametrize("excluded", ["* * * * *", "* * */2,1-31 * *", "*/5 * * * *"])
def test_except_everything_covered_returns_none(excluded: str) -> None:
    """If no day is left, the search ends at once."""
    schedule = Except(CronExpression("*/10 9 * * *", BERLIN), CronExpression(excluded, BERLIN))
    assert schedule.next_after(utc("2026-01-01")) is None
    assert schedule.next_after(utc("9999-12-31 06:00")) is None


@pytest.mark.parametrize("zone", [BERLIN, "America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe", "Africa/Cairo"])
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_except_of_expressions_equals_difference(zone: str, data: st.DataObject) -> None:
    """The days that are skipped whole have no tick that is not excluded, also when clocks change."""
    days = st.sampled_from(["* * *", "*/2 * *", "* * 1-5", "1-15 * *", "* 1-3,10-12 *", "* */2 0"])
    times = st.sampled_from(["*/30 *", "0,30 *", "*/30 0-5", "30 0-3", "0,30 0-23", "0-59 0-23", "* *", "* 0-6"])
    schedule, excluded = (CronExpression(f"{data.draw(times)} {data.draw(days)}", zone) for _ in range(2))
    around = data.draw(st.sampled_from(["2018-02-17", "2018-11-03", "2011-12-29", "2026-03-28", "2026-10-24"]))
    start, end = utc(around), utc(around) + timedelta(days=3)
    gone = set(walk(excluded, start, end))
    expected = [tick for tick in walk(schedule, start, end) if tick not in gone]
    assert list(walk(Except(schedule, excluded), start, end)) == expected


def test_except_unhashable_container() -> None:
    """A container without a hash makes a schedule without a hash, which still compares by value."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Except(HOURLY, Growing("BY")))
    assert Except(HOURLY, Growing("BY")) == Except(HOURLY, Growing("BY"))


def test_except_copies_a_set_of_dates() -> None:
    """A later change of the set does not change the schedule."""
    dates = set(CHRISTMAS)
    schedule = Except(WORKDAYS, dates)
    dates.clear()
    assert schedule.excluded == CHRISTMAS


@given(SCHEDULES, SCHEDULES, STARTS)
@settings(max_examples=25, deadline=None)
def test_except_equals_difference_of_parts(schedule: Schedule, excluded: Schedule, start: datetime) -> None:
    """Except has the ticks of the first schedule that are not ticks of the second."""
    end = start + timedelta(hours=30)
    gone = set(walk(excluded, start, end))
    expected = [tick for tick in walk(schedule, start, end) if tick not in gone]
    assert list(walk(Except(schedule, excluded), start, end)) == expected


@dataclass(frozen=True)
class Drawn:
    """A random set of dates that depends on a seed alone."""

    seed: int

    def __contains__(self, day: object) -> bool:
        """Return whether a date belongs to the set."""
        return crc32(b"%d %d" % (self.seed, day.toordinal())) % 3 == 0 if isinstance(day, date) else False


@given(SCHEDULES, st.integers(0, 100), STARTS, st.sampled_from(["UTC", BERLIN, "America/Sao_Paulo", "Pacific/Apia"]))
@settings(max_examples=60, deadline=None)
def test_except_keeps_ticks_of_other_dates(schedule: Schedule, seed: int, start: datetime, zone: str) -> None:
    """Except has the ticks whose date, in the zone of the dates, is not excluded."""
    end, dates = start + timedelta(days=3), Drawn(seed)
    expected = [tick for tick in walk(schedule, start, end) if tick.astimezone(ZoneInfo(zone)).date() not in dates]
    assert list(walk(Except(schedule, dates, tz=zone), start, end)) == expected
