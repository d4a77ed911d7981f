"""`clock_changes()`: what schedules say about the nights when clocks are put forward or back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aioq.cron import ClockChange
from aioq_cron import CronExpression, Every, Except, Union
from aioq_cron.describe.clock_changes import shifts_between
from tests.cron import debian
from tests.cron.debian import CRONTABS, Crontab
from tests.cron.test_against_debian import ZONES, parsed
from tests.times import Listed, naive, utc

BERLIN = "Europe/Berlin"
NIGHTLY = CronExpression("30 2 * * *", BERLIN)
START, END = utc("2026-01-01"), utc("2027-01-01")
MINUTE = timedelta(minutes=1)


def effects(schedule: CronExpression | Union | Except, start: datetime = START, end: datetime = END) -> list[str]:
    """Return the effects of a schedule's clock changes in a year."""
    return [change.effect for change in schedule.clock_changes(start, end)]


def test_clock_changes_lists_both_of_a_year() -> None:
    """Each clock change has its moment, the local times that it skips or repeats, and the runs."""
    forward, back = NIGHTLY.clock_changes(START, END)
    assert forward == ClockChange(
        at=utc("2026-03-29 01:00"),
        kind="gap",
        start=naive("2026-03-29 02:00"),
        end=naive("2026-03-29 03:00"),
        touches=True,
        runs=(utc("2026-03-29 01:00"),),
        effect="02:30 does not exist: fires once at 03:00+02:00 instead",
    )
    assert back == ClockChange(
        at=utc("2026-10-25 01:00"),
        kind="repeat",
        start=naive("2026-10-25 02:00"),
        end=naive("2026-10-25 03:00"),
        touches=True,
        runs=(utc("2026-10-25 00:30"),),
        effect="02:30 comes twice: fires in the first pass only, at 02:30+02:00",
    )


@pytest.mark.parametrize(
    ("expression", "zone", "gap", "repeat"),
    [
        (
            "0,30 2 * * *",
            BERLIN,
            "02:00 and 02:30 do not exist: fires once at 03:00+02:00 instead",
            "02:00 and 02:30 come twice: fires in the first pass only, at 02:00+02:00 and 02:30+02:00",
        ),
        (
            "*/30 2 * * *",
            BERLIN,
            "02:00 and 02:30 do not exist: nothing fires instead",
            "02:00 and 02:30 come twice: fires in both passes, at 02:00+02:00, 02:30+02:00, 02:00+01:00 and 02:30+01:00",
        ),
        (
            "*/5 * * * *",
            "America/New_York",
            "02:00, 02:05, 02:10 and 9 more do not exist: nothing fires instead",
            "01:00, 01:05, 01:10 and 9 more come twice: fires in both passes, at 01:00-04:00, 01:05-04:00, 01:10-04:00 and 21 more",
        ),
        ("0 9 * * *", BERLIN, "nothing is due in that time", "nothing is due in that time"),
        ("30 2 * * 1-5", BERLIN, "nothing is due in that time", "nothing is due in that time"),
    ],
)
def test_clock_change_effect_text(expression: str, zone: str, gap: str, repeat: str) -> None:
    """The effect names the times that are skipped or repeated, whether they fire, and when."""
    assert effects(CronExpression(expression, zone)) == [gap, repeat]


def test_clock_change_of_half_an_hour() -> None:
    """On Lord Howe Island the clocks change by half an hour, and are put back first in a year."""
    assert effects(CronExpression("45 1 * * *", "Australia/Lord_Howe")) == [
        "01:45 comes twice: fires in the first pass only, at 01:45+11:00",
        "nothing is due in that time",
    ]


def test_clock_change_that_skips_a_day() -> None:
    """A large shift is not daylight saving, so nothing fires instead of the skipped day's runs."""
    schedule = CronExpression("0 9 * * *", "Pacific/Apia")
    change = schedule.clock_changes(utc("2011-12-01"), utc("2012-01-01"))[0]
    assert (change.touches, change.runs) == (True, ())
    assert change.effect == "09:00 does not exist: nothing fires instead, as this is not daylight saving"


def test_clock_change_over_midnight_shows_dates() -> None:
    """The effect shows dates if the repeated times belong to two days."""
    schedule = CronExpression("0,45 23,0 * * *", "Antarctica/Casey")
    (change,) = schedule.clock_changes(utc("2010-03-01"), utc("2010-04-01"))
    assert change.effect == (
        "2010-03-04 23:00, 2010-03-04 23:45, 2010-03-05 00:00 and 2010-03-05 00:45 come twice: fires in the first pass only, "
        "at 2010-03-04 23:00+11:00, 2010-03-04 23:45+11:00, 2010-03-05 00:00+11:00 and 2010-03-05 00:45+11:00"
    )


def test_clock_change_with_seconds() -> None:
    """Monrovia's offset had seconds until 1972, so the gap ends 44 minutes and 30 seconds past the hour."""
    (change,) = CronExpression("30 0 * * *", "Africa/Monrovia").clock_changes(utc("1972-01-01"), utc("1972-02-01"))
    assert change.effect == "00:30 does not exist: fires once at 00:44:30+00:00 instead"


def test_clock_change_lists_at_most_ten_runs() -> None:
    """Only the first ten runs are listed, also by a Union."""
    change = CronExpression("* * * * *", BERLIN).clock_changes(utc("2026-10-01"), END)[0]
    assert change.runs == tuple(utc("2026-10-25 00:00") + MINUTE * minute for minute in range(10))
    quarters, others = (CronExpression(f"{minute} 2 * * *", BERLIN) for minute in ("*/15", "1-59/7"))
    assert len(Union(quarters, others).clock_changes(utc("2026-10-01"), END)[0].runs) == 10


def test_clock_changes_window_is_half_open() -> None:
    """A clock change at the start of the window counts, and one at its end does not."""
    at = utc("2026-03-29 01:00")
    assert len(NIGHTLY.clock_changes(at, at + timedelta(microseconds=1))) == 1
    assert NIGHTLY.clock_changes(at - timedelta(days=1), at) == []
    assert NIGHTLY.clock_changes(at + timedelta(microseconds=1), at + timedelta(days=1)) == []
    assert NIGHTLY.clock_changes(END, START) == []


def test_clock_changes_at_calendar_ends() -> None:
    """A window that reaches the first or the last moment of the calendar is no error."""
    last = datetime.max.replace(tzinfo=UTC)
    assert NIGHTLY.clock_changes(last - timedelta(days=1), last) == []
    assert NIGHTLY.clock_changes(datetime.min.replace(tzinfo=UTC), utc("0001-01-09")) == []


def test_clock_changes_refuses_naive_datetimes() -> None:
    """A naive datetime is a ValueError, and a date is a TypeError."""
    with pytest.raises(ValueError, match="has no time zone"):
        NIGHTLY.clock_changes(naive("2026-01-01"), END)
    with pytest.raises(TypeError, match="expected an aware datetime"):
        NIGHTLY.clock_changes(START, date(2027, 1, 1))  # type: ignore[arg-type]


def test_clock_changes_of_fixed_offset_zone_is_empty() -> None:
    """UTC and a zone with a constant offset have no clock changes."""
    assert CronExpression("* * * * *").clock_changes(START, END) == []
    assert CronExpression("* * * * *", "Asia/Tokyo").clock_changes(START, END) == []


def test_clock_changes_of_every_is_empty() -> None:
    """An interval ignores local time, so it has no clock changes."""
    assert Every(timedelta(hours=1)).clock_changes(START, END) == []


def test_clock_changes_of_union_joins_parts() -> None:
    """A Union lists a clock change of one zone once, with the runs of all parts that it affects."""
    union = Union(NIGHTLY, CronExpression("15 2 * * *", BERLIN), CronExpression("0 9 * * *", BERLIN))
    forward, back = union.clock_changes(START, END)
    assert forward.effect == (
        "02:30 does not exist: fires once at 03:00+02:00 instead; 02:15 does not exist: fires once at 03:00+02:00 instead"
    )
    assert forward.runs == (utc("2026-03-29 01:00"),)
    assert back.runs == (utc("2026-10-25 00:15"), utc("2026-10-25 00:30"))
    assert effects(Union(CronExpression("0 9 * * *", BERLIN))) == ["nothing is due in that time"] * 2


def test_clock_changes_of_union_across_zones() -> None:
    """A Union lists the clock changes of all zones in order, and leaves out parts without any."""
    union = Union(
        NIGHTLY, CronExpression("30 2 * * *", "America/New_York"), Listed((START,)), Every(timedelta(hours=1))
    )
    assert [f"{change.at:%m-%d %H} {change.touches}" for change in union.clock_changes(START, END)] == [
        "03-08 07 True",
        "03-29 01 True",
        "10-25 01 True",
        "11-01 06 False",
    ]


def test_clock_changes_of_except_drop_excluded_runs() -> None:
    """The runs of an Except leave out excluded runs, and the effect says so."""
    by_day = Except(NIGHTLY, {date(2026, 3, 29)})
    assert effects(by_day) == [
        "02:30 does not exist: fires once at 03:00+02:00 instead, but all of these runs are excluded",
        "02:30 comes twice: fires in the first pass only, at 02:30+02:00",
    ]
    assert by_day.clock_changes(START, END)[0].runs == ()
    back = Except(CronExpression("*/30 2 * * *", BERLIN), CronExpression("30 0 * * *")).clock_changes(START, END)[1]
    assert back.effect.endswith("02:00+01:00 and 02:30+01:00, except for excluded runs")
    assert back.runs == (utc("2026-10-25 00:00"), utc("2026-10-25 01:00"), utc("2026-10-25 01:30"))


def ticks(schedule: CronExpression, start: datetime, end: datetime) -> list[datetime]:
    """Return the ticks of a schedule in [start, end)."""
    return list(takewhile(lambda tick: tick < end, schedule.occurrences(start - timedelta(microseconds=1))))


@given(CRONTABS, st.sampled_from(ZONES), st.integers(1975, 2037), st.data())
@settings(max_examples=200, deadline=None)
def test_clock_change_runs_equal_next_after(crontab: Crontab, name: str, year: int, data: st.DataObject) -> None:
    """In any zone the runs of a clock change equal those of `next_after` and those of a minute-by-minute search."""
    zone = ZoneInfo(name)
    at = data.draw(st.sampled_from(debian.shifts(zone, year) or (datetime(year, 5, 9, tzinfo=UTC),)))
    schedule = parsed(crontab, zone)
    for change in schedule.clock_changes(at, at + MINUTE):
        length = change.end - change.start
        walls = [change.start + MINUTE * minute for minute in range(int(length / MINUTE))]
        assert change.touches == any(map(crontab.matches, walls))
        fired = ticks(schedule, change.at - length, change.at + length)
        if change.kind == "repeat":
            assert list(change.runs) == fired[:10]
        else:
            assert set(change.runs) <= set(fired)
            expected = change.touches and not crontab.wildcard and length <= debian.THREE_HOURS
            assert bool(change.runs) == expected


@given(st.sampled_from(ZONES), st.integers(1900, 2037))
@example("Antarctica/DumontDUrville", 1947)
@settings(max_examples=40, deadline=None)
def test_shifts_between_finds_all_of_a_year(name: str, year: int) -> None:
    """The search finds the shifts that a look at every quarter of an hour finds, to the second."""
    zone, start = ZoneInfo(name), datetime(year, 1, 1, tzinfo=UTC)
    quarter = timedelta(minutes=15)
    looks = [start + quarter * count for count in range(-1, 366 * 96)]
    offsets = [debian.offset(look, zone) for look in looks]
    expected = [
        (look, before, after)
        for look, before, after in zip(looks[1:], offsets, offsets[1:], strict=False)
        if before != after
    ]
    found = list(shifts_between(zone, start, looks[-1] + MINUTE))
    assert [(shift.before, shift.after) for shift in found] == [(before, after) for _, before, after in expected]
    for shift, (look, before, _) in zip(found, expected, strict=True):
        assert look - quarter < shift.at <= look
        assert debian.offset(shift.at - timedelta(seconds=1), zone) == before
        assert debian.offset(shift.at, zone) == shift.after


def test_shifts_between_over_years() -> None:
    """The search finds all shifts of Morocco, which puts its clocks back for each Ramadan, from any start."""
    zone, end = ZoneInfo("Africa/Casablanca"), utc("2025-01-01")
    found = list(shifts_between(zone, utc("2020-03-01"), end))
    assert [shift.forward for shift in found] == [False, True] * 5
    assert {(later.at - earlier.at).days // 7 for earlier, later in zip(found[::2], found[1::2], strict=True)} <= {5, 6}
    for day in range(50):
        assert list(shifts_between(zone, utc("2020-03-01") - timedelta(days=day), end)) == found
