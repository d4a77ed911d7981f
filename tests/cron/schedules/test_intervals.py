"""Calendar intervals: days, weeks, months and business days, at times that no clock change moves."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq import Aarq
from aioq.cron import upcoming
from aioq.cron.schedule import CanonicalSchedule, ExplainedSchedule
from aioq_cron import BusinessDays, CronExpression, EveryDays, EveryMonths, EveryWeeks, Except, InvalidCronExpression
from aioq_cron.schedules.intervals import CalendarSchedule
from tests.cron.schedules.example_schedules import BERLIN, CHRISTMAS, Growing, first
from tests.times import utc

DAYS = st.dates(date(2020, 1, 1), date(2030, 1, 1))


def days(schedule: CalendarSchedule, count: int, start: str) -> list[str]:
    """Return the local dates of the first ticks after a moment."""
    return [tick.astimezone(schedule.tz).date().isoformat() for tick in upcoming(schedule, utc(start), count)]


def test_every_days_keep_their_time_over_clock_changes() -> None:
    """Fourteen days are fourteen days on the calendar: the hour on the clock stays."""
    schedule = EveryDays(14, at="09:00", tz=BERLIN, start=date(2026, 3, 20))
    assert first(schedule, 3, "2026-01-01", BERLIN) == ["2026-03-20 09:00", "2026-04-03 09:00", "2026-04-17 09:00"]
    assert first(schedule, 2, "2026-03-20 08:00", BERLIN) == ["2026-04-03 09:00", "2026-04-17 09:00"]


def test_skipped_and_repeated_times_follow_cron() -> None:
    """A time in a gap fires at its end, and one in a repeated hour in its first pass, as with cron."""
    daily, cron = EveryDays(1, at="02:30", tz=BERLIN), CronExpression("30 2 * * *", BERLIN)
    for start in (utc("2026-03-27"), utc("2026-10-23")):
        assert list(upcoming(daily, start, 5)) == list(upcoming(cron, start, 5))
        assert daily.clock_changes(start, start + timedelta(days=5)) == cron.clock_changes(
            start, start + timedelta(days=5)
        )


def test_several_times_of_day() -> None:
    """Times may be texts and values, in any order, with seconds."""
    schedule = EveryDays(2, at=("17:00", time(9, 0, 30)), start=date(2026, 1, 1))
    assert [tick.isoformat() for tick in upcoming(schedule, utc("2026-01-01 10:00"), 2)] == [
        "2026-01-01T17:00:00+00:00",
        "2026-01-03T09:00:30+00:00",
    ]


@given(st.integers(1, 40), DAYS, DAYS)
@settings(max_examples=50, deadline=None)
def test_every_days_equal_a_walk(interval: int, start: date, day: date) -> None:
    """The next day is the first one that is a whole number of intervals after the start."""
    walked = start
    while walked < day:
        walked += timedelta(days=interval)
    found = EveryDays(interval, start=start).next_after(
        datetime.combine(day, time(), ZoneInfo("UTC")) - timedelta(seconds=1)
    )
    assert found is not None
    assert found.date() == walked


@given(st.integers(1, 5), DAYS, st.sets(st.sampled_from(["MON", "WED", "SUN"]), min_size=1), DAYS)
@settings(max_examples=50, deadline=None)
def test_every_weeks_equal_a_walk(interval: int, start: date, on: set[str], day: date) -> None:
    """A day counts if its week is in turn, it is one of the weekdays, and it is not before the start."""
    monday = start - timedelta(days=start.weekday())
    walked = max(day, start)
    while walked.strftime("%a").upper() not in on or (walked - monday).days // 7 % interval:
        walked += timedelta(days=1)
    found = EveryWeeks(interval, on=on, start=start).next_after(
        datetime.combine(day, time(), ZoneInfo("UTC")) - timedelta(seconds=1)
    )
    assert found is not None
    assert found.date() == walked


def test_every_weeks_without_days_has_the_weekday_of_its_start() -> None:
    """The default start is a Monday, and each start has its own weekday."""
    assert days(EveryWeeks(1), 2, "2026-01-06") == ["2026-01-12", "2026-01-19"]
    assert days(EveryWeeks(2, start=date(2026, 1, 8)), 2, "2026-01-06") == ["2026-01-08", "2026-01-22"]


def test_every_months_ends_with_short_months() -> None:
    """The 31st is the last day of months that have none, and the 31st again afterwards."""
    monthly = EveryMonths(1, start=date(2026, 1, 31))
    assert days(monthly, 4, "2026-01-31 12:00") == ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]
    quarterly = EveryMonths(3, start=date(2026, 2, 10))
    assert days(quarterly, 3, "2026-02-10 12:00") == ["2026-05-10", "2026-08-10", "2026-11-10"]


def test_business_days_leave_out_weekends_and_holidays() -> None:
    """Christmas 2026 is on Friday, and a container that grows counts, too."""
    assert days(BusinessDays(holidays=CHRISTMAS, tz=BERLIN), 3, "2026-12-22 12:00") == [
        "2026-12-23",
        "2026-12-28",
        "2026-12-29",
    ]
    assert days(BusinessDays(holidays=Growing("BY")), 2, "2026-01-02") == ["2026-01-05", "2026-01-06"]


def test_business_day_of_month() -> None:
    """The first and the last business day of a month, counted without holidays."""
    new_year = {date(2026, 1, 1)}
    assert days(BusinessDays(of_month=1, holidays=new_year), 3, "2025-12-31") == [
        "2026-01-02",
        "2026-02-02",
        "2026-03-02",
    ]
    assert days(BusinessDays(of_month=-1), 3, "2026-01-01") == ["2026-01-30", "2026-02-27", "2026-03-31"]
    assert days(BusinessDays(of_month=-15), 1, "2026-01-01") == ["2026-01-12"]


def test_search_without_business_days_ends() -> None:
    """If every day is a holiday, there is no tick, after a bounded search."""

    class Always:
        def __contains__(self, day: object) -> bool:
            return True

    assert BusinessDays(holidays=Always()).next_after(utc("2026-01-01")) is None
    assert BusinessDays(holidays=Always(), of_month=1).next_after(utc("2026-01-01")) is None


@pytest.mark.parametrize(
    "schedule", [EveryDays(3_000), EveryWeeks(500), EveryMonths(120), BusinessDays(), BusinessDays(of_month=1)]
)
def test_intervals_end_with_the_calendar(schedule: CalendarSchedule) -> None:
    """There is no tick after the year 9999."""
    assert schedule.next_after(utc("9999-12-31 12:00")) is None


TEXTS: list[tuple[CalendarSchedule, str, str]] = [
    (EveryDays(14, at="09:00", start=date(2026, 1, 5)), "every 14 days at 09:00 from 2026-01-05", "at 09:00 every 14 days, from 2026-01-05 on"),
    (EveryDays(1, at=["18:00", "09:00"]), "every day at 09:00 18:00", "at 09:00 and 18:00 every day"),
    (EveryWeeks(2, on=("THU", "mon"), at="08:15:30"), "on MON and THU of every 2 weeks at 08:15:30", "at 08:15:30 on MON and THU of every 2 weeks"),
    (EveryWeeks(1, on="FRI"), "on FRI of every week at 00:00", "at 00:00 on FRI of every week"),
    (EveryMonths(3), "every 3 months at 00:00", "at 00:00 every 3 months"),
    (EveryMonths(1, start=date(2026, 1, 31)), "every month at 00:00 from 2026-01-31", "at 00:00 every month, from 2026-01-31 on"),
    (BusinessDays(at="07:00"), "every business day at 07:00", "at 07:00 every business day"),
    (BusinessDays(of_month=1), "the first business day of each month at 00:00", "at 00:00 the first business day of each month"),
    (BusinessDays(of_month=-7), "the 7th last business day of each month at 00:00", "at 00:00 the 7th last business day of each month"),
    (BusinessDays(holidays=CHRISTMAS), "every business day at 00:00 except 2026-12-24 2026-12-25", "at 00:00 every business day, but not on 2026-12-24 and 2026-12-25"),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "text", "words"), TEXTS)
def test_interval_texts(schedule: CalendarSchedule, text: str, words: str) -> None:
    """Text, canonical form and words have everything that matters except for the zone."""
    assert isinstance(schedule, CanonicalSchedule)
    assert isinstance(schedule, ExplainedSchedule)
    assert (str(schedule), schedule.canonical, schedule.in_words()) == (text, text, words)
    assert repr(schedule) == f"<{type(schedule).__name__} {text} [UTC]>"


def test_intervals_are_equal_by_meaning() -> None:
    """Equality and hash go by text, dates and zone, and survive pickle."""
    one = EveryDays(14, at="09:00", tz=BERLIN, start=date(2026, 1, 5))
    assert one == EveryDays(14, at=time(9), tz=ZoneInfo(BERLIN), start=date(2026, 1, 5))
    assert one != EveryDays(14, at="09:00", start=date(2026, 1, 5))
    assert one != "every 14 days"
    for schedule in (one, BusinessDays(holidays=CHRISTMAS, tz=BERLIN), EveryWeeks(2, on="MON"), EveryMonths(2)):
        copy = pickle.loads(pickle.dumps(schedule))
        assert (copy, hash(copy)) == (schedule, hash(schedule))
    with pytest.raises(TypeError, match="unhashable"):
        hash(BusinessDays(holidays=Growing("BY")))


def test_intervals_combine_and_answer_questions() -> None:
    """Operators and questions are those of all schedules."""
    weekly, daily = EveryWeeks(1, on="FRI", tz=BERLIN), EveryDays(1, tz=BERLIN)
    assert first((daily - weekly) & daily, 2, "2026-01-01", BERLIN) == ["2026-01-03 00:00", "2026-01-04 00:00"]
    assert daily.count(utc("2026-01-01"), utc("2026-01-31")) == 30
    assert weekly.previous_before(utc("2026-01-08")) == utc("2026-01-01 23:00")
    assert isinstance(daily - CHRISTMAS, Except)


def test_app_takes_interval_with_its_zone() -> None:
    """The entry has the zone and the canonical text of the schedule, so its fingerprint is its meaning."""
    app = Aarq("memory://", name="app")

    @app.cron(EveryDays(14, at="09:00", tz=BERLIN, start=date(2026, 1, 5)))
    def report(ctx: object) -> None: ...

    (entry,) = app.crons
    assert entry.fingerprint == "every 14 days at 09:00 from 2026-01-05 [Europe/Berlin]"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EveryDays(0), ValueError, "days must be between 1 and 3653, got 0"),
        (lambda: EveryDays(1.5), TypeError, "days must be a whole number, got 1.5"),  # type: ignore[arg-type]
        (lambda: EveryWeeks(522), ValueError, "weeks must be between 1 and 521, got 522"),
        (lambda: EveryMonths(121), ValueError, "months must be between 1 and 120, got 121"),
        (lambda: EveryDays(1, at="9:00"), ValueError, "at takes times from '00:00' to '23:59', or with seconds as in '09:00:30', got '9:00'"),
        (lambda: EveryDays(1, at="24:00"), ValueError, "at takes times from '00:00' to '23:59', or with seconds as in '09:00:30', got '24:00'"),
        (lambda: EveryDays(1, at=()), ValueError, "at has no time; write one such as at='09:00'"),
        (lambda: EveryDays(1, at=9), TypeError, "at is a time such as '09:00', or several, got 9"),  # type: ignore[arg-type]
        (lambda: EveryDays(1, at=[9]), TypeError, "at is a time such as '09:00', or several, got 9"),  # type: ignore[list-item]
        (lambda: EveryDays(1, at=time(9, 0, 0, 1)), ValueError, "at takes times without a zone and with whole seconds, got datetime.time(9, 0, 0, 1); the zone is tz="),
        (lambda: EveryDays(1, start=datetime(2026, 1, 1)), TypeError, "start is the first day, a datetime.date, got datetime.datetime(2026, 1, 1, 0, 0); the time of day is at="),
        (lambda: EveryWeeks(1, on="MONDAY"), ValueError, "on takes one or several of MON, TUE, WED, THU, FRI, SAT, SUN, got MONDAY"),
        (lambda: EveryWeeks(1, on=()), ValueError, "on takes one or several of MON, TUE, WED, THU, FRI, SAT, SUN, got none"),
        (lambda: BusinessDays(of_month=0), ValueError, "of_month is 1 for the first business day, or -1 for the last one, got 0"),
        (lambda: BusinessDays(of_month=16), ValueError, "of_month must be between -15 and 15, got 16"),
        (lambda: BusinessDays(holidays=5), TypeError, "holidays is a container of dates, got 5"),  # type: ignore[arg-type]
        (lambda: EveryDays(1, tz="Europe/Berln"), InvalidCronExpression, "tz 'Europe/Berln' is not a known time zone; did you mean 'Europe/Berlin'?"),
    ],
)  # fmt: skip
def test_wrong_interval_is_refused(make: Callable[[], object], error: type[Exception], message: str) -> None:
    """Each wrong argument raises an error that names it."""
    with pytest.raises(error) as refused:
        make()
    assert str(refused.value) == message
