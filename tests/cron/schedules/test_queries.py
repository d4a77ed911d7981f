"""Questions about the ticks of schedules: the previous one, whether a moment is one, those of a span, their number."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq_cron import CronExpression, Every, Except, Intersection, Union
from aioq_cron.schedules import queries
from tests.cron import debian
from tests.cron.schedules.example_schedules import BERLIN, CHRISTMAS, HOURLY, SATURDAYS, STARTS, WORKDAYS, walk
from tests.times import Listed, local, naive, utc

AnySchedule = CronExpression | Every | Except | Intersection | Union
TEXTS = ["*/30 * * * *", "30 2 * * *", "0 9 * * 1-5", "15,45 0-3 1,15 * *", "0 12 13 * FRI", "0 3 L * *", "@yearly"]
ZONES = ["UTC", BERLIN, "America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe", "Antarctica/Casey"]
EXPRESSIONS = st.builds(CronExpression, st.sampled_from(TEXTS), st.sampled_from(ZONES))
INTERVALS = st.builds(
    lambda seconds, start: Every(timedelta(seconds=seconds), start=start), st.integers(600, 90_000), st.none() | STARTS
)
PLAIN = EXPRESSIONS | INTERVALS
ALL: st.SearchStrategy[AnySchedule] = st.one_of(
    PLAIN,
    st.builds(Union, PLAIN, PLAIN),
    st.builds(Intersection, EXPRESSIONS, st.just(HOURLY)),
    st.builds(Except, EXPRESSIONS, st.just(SATURDAYS)),
    st.builds(Except, PLAIN, st.just(CHRISTMAS)),
)


@given(ALL, STARTS, st.timedeltas(timedelta(0), timedelta(days=12)))
@settings(max_examples=40, deadline=None)
def test_queries_agree_with_next_after(schedule: AnySchedule, start: datetime, length: timedelta) -> None:
    """A span has the ticks that `next_after` finds, each of them matches, and none lies between two of them."""
    end = start + length
    ticks = list(schedule.between(start, end))
    assert ticks == [tick for tick in walk(schedule, start - timedelta.resolution, end) if tick != end]
    assert schedule.count(start, end) == len(ticks)
    assert all(map(schedule.matches, ticks))
    # A few: each of them asks for dozens of steps.
    for earlier, later in list(pairwise(ticks))[-10:]:
        assert schedule.previous_before(later) == earlier
        assert schedule.previous_before(earlier + timedelta.resolution) == earlier
        assert not schedule.matches(earlier + (later - earlier) / 2)


@given(
    debian.CRONTABS.map(lambda crontab: crontab.text),
    st.sampled_from(ZONES),
    st.sampled_from([2010, 2011, 2018]),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_count_of_expression_equals_visited_ticks(text: str, zone: str, year: int, data: st.DataObject) -> None:
    """The computed number is that of the ticks, whatever a clock change skips or repeats at either end."""
    try:
        schedule = CronExpression(text, zone)
    except ValueError:
        return
    hours = st.floats(-30, 30).map(lambda hours: timedelta(hours=hours))
    shifts = debian.shifts(ZoneInfo(zone), year) or (datetime(year, 5, 9, tzinfo=UTC),)
    start = data.draw(st.sampled_from(shifts)) + data.draw(hours)
    end = data.draw(st.sampled_from(shifts)) + data.draw(hours)
    assert schedule.count(start, end) == sum(1 for _ in schedule.between(start, end))


def test_between_includes_start_and_excludes_end() -> None:
    """A tick at the start belongs to the span, and one at the end does not; spans that follow share no tick."""
    monday, tuesday = local("2026-01-05 09:00", BERLIN), local("2026-01-06 09:00", BERLIN)
    assert list(WORKDAYS.between(monday, tuesday)) == [monday]
    assert (WORKDAYS.count(monday, tuesday), WORKDAYS.count(tuesday, monday)) == (1, 0)
    assert list(WORKDAYS.between(tuesday, monday)) == []


def test_count_of_minutes_in_decades_is_computed() -> None:
    """Numbers over thirty years are exact: each day has 1,440 minutes on average, and seven days are leap days."""
    start, end = utc("2001-01-01"), utc("2031-01-01")
    assert CronExpression("* * * * *").count(start, end) == (end - start) // timedelta(minutes=1)
    assert CronExpression("* * * * *", BERLIN).count(start, end) == (end - start) // timedelta(minutes=1)
    assert CronExpression("30 2 * * *", BERLIN).count(start, end) == (end - start).days
    assert CronExpression("0 0 29 2 *").count(start, end) == 7
    assert Every(timedelta(seconds=1)).count(start, end) == (end - start) // timedelta(seconds=1)


def test_previous_before_in_clock_changes() -> None:
    """A repeated hour has two ticks of a wildcard, and the end of a gap is the tick of a time that was skipped."""
    half_hourly, nightly = CronExpression("*/30 2 * * *", BERLIN), CronExpression("30 2 * * *", BERLIN)
    assert half_hourly.previous_before(utc("2026-10-25 01:00")) == utc("2026-10-25 00:30")
    assert nightly.previous_before(utc("2026-10-25 12:00")) == utc("2026-10-25 00:30")
    assert nightly.previous_before(utc("2026-03-29 12:00")) == utc("2026-03-29 01:00")
    assert nightly.matches(utc("2026-03-29 01:00"))
    assert not half_hourly.matches(utc("2026-03-29 01:00"))


def test_previous_before_of_rare_and_ended_schedules() -> None:
    """The search goes back over decades, and past the last tick of a schedule that has ended."""
    assert CronExpression("0 0 29 2 */7").previous_before(utc("2026-01-01")) == utc("2004-02-29")
    ended = Union(Listed((utc("2001-01-01 10:00"),)))
    assert ended.previous_before(utc("2026-01-01")) == utc("2001-01-01 10:00")
    assert ended.previous_before(utc("2001-01-01 10:00")) is None
    assert Every(HOURLY.interval, start=utc("2026-01-01")).previous_before(utc("2026-01-01")) is None


@pytest.mark.parametrize("zone", ["UTC", BERLIN, "America/New_York"])
def test_queries_at_the_ends_of_the_calendar(zone: str) -> None:
    """The first and the last moments of the calendar are no error, and all answers agree there."""
    minutes = CronExpression("* * * * *", zone)
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for start, end in [(first, first + timedelta(days=1)), (last - timedelta(days=1), last)]:
        assert minutes.count(start, end) == len(list(minutes.between(start, end)))
    assert minutes.previous_before(first) is None
    assert not minutes.matches(first)
    assert (minutes.previous_before(last) or first) > last - timedelta(days=1)


@pytest.mark.parametrize(
    "ask",
    [
        HOURLY.previous_before,
        WORKDAYS.matches,
        Union(HOURLY).matches,
        Except(HOURLY, CHRISTMAS).matches,
        Intersection(HOURLY).matches,
        lambda when: WORKDAYS.between(utc("2026-01-01"), when),
        lambda when: WORKDAYS.count(utc("2026-01-01"), when),
        lambda when: HOURLY.count(when, utc("2026-01-01")),
    ],
)
def test_queries_take_aware_datetimes_only(ask: Callable[[object], object]) -> None:
    """A naive datetime is a ValueError at once, also for an iterator, and a date is a TypeError."""
    with pytest.raises(ValueError, match="has no time zone"):
        ask(naive("2026-01-01"))
    with pytest.raises(TypeError, match="expected an aware datetime"):
        ask(date(2026, 1, 1))


def test_count_of_too_many_visited_ticks_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule whose ticks must be visited refuses a span with too many, and says up to where it can count."""
    monkeypatch.setattr(queries, "MAX_WALKED", 24)
    both = Union(HOURLY, SATURDAYS)
    assert both.count(utc("2026-01-01"), utc("2026-01-02")) == 24
    with pytest.raises(ValueError, match=r"more than 24 ticks .* ends by 2026-01-02T00:00:00\+00:00$"):
        both.count(utc("2026-01-01"), utc("2026-01-02 00:01"))
