"""Expressions compared with a model of Debian's cron, with croniter, and with themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest
from croniter import croniter
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aioq_cron import CronExpression, InvalidCronExpression
from aioq_cron.calendar.stepper import ZonedCalendar, ZonedSchedule
from aioq_cron.expression.parser import parse_fields
from tests.cron import debian
from tests.cron.debian import CRONTABS, Crontab
from tests.times import naive

ZONES = sorted(
    name for name in available_timezones() if not name.startswith(("Etc/", "posix/", "right/", "Factory", "localtime"))
)
THOROUGH = int(os.environ.get("AIOQ_CRON_EXAMPLES", "0"))
"""Number of examples for a longer comparison with Debian's cron; use it with `-o faulthandler_timeout=0`."""
HOURS = st.floats(0, 8).map(lambda hours: timedelta(hours=hours))


def parsed(crontab: Crontab, zone: ZoneInfo) -> CronExpression:
    """Return the parsed expression; discard an example that never matches."""
    try:
        return CronExpression(crontab.text, zone)
    except InvalidCronExpression as refused:
        assume("never matches" not in str(refused))
        raise


def between(schedule: CronExpression, start: datetime, end: datetime) -> Iterator[datetime]:
    """Return the runs of a schedule after `start` and up to `end`."""
    return takewhile(lambda run: run <= end, schedule.occurrences(start))


@given(CRONTABS, st.sampled_from(ZONES), st.integers(1975, 2037), HOURS, HOURS, st.data())
@settings(max_examples=max(300, THOROUGH), deadline=None)
@pytest.mark.timeout(60 + THOROUGH)
def test_runs_near_shifts_match_debian(
    crontab: Crontab, name: str, year: int, before: timedelta, after: timedelta, data: st.DataObject
) -> None:
    """In any zone, around any clock change, an expression fires at the same minutes as in Debian's cron."""
    zone = ZoneInfo(name)
    shift = data.draw(st.sampled_from(debian.shifts(zone, year) or (datetime(year, 5, 9, tzinfo=UTC),)))
    schedule = parsed(crontab, zone)
    start, end = shift - before, shift + after
    expected = debian.runs(crontab, zone, shift - timedelta(hours=9), end)
    assert list(between(schedule, start, end)) == [run for run in expected if run > start]


@pytest.mark.parametrize(
    ("name", "year"),
    [
        ("Europe/Berlin", 2026),
        ("Europe/Dublin", 2026),
        ("America/New_York", 2026),
        ("America/Sao_Paulo", 2018),
        ("Australia/Lord_Howe", 2026),
        ("Africa/Casablanca", 2026),
        ("Antarctica/Troll", 2026),
        ("Antarctica/Casey", 2009),
        ("Antarctica/Casey", 2010),
        ("Pacific/Apia", 2011),
        ("Asia/Pyongyang", 2018),
        ("America/Caracas", 2016),
    ],
)
@given(crontab=CRONTABS)
@settings(max_examples=25, deadline=None)
def test_runs_in_unusual_zones_match_debian(name: str, year: int, crontab: Crontab) -> None:
    """Shifts of half an hour, of three hours, at midnight, in summer and across a day match Debian's cron."""
    zone = ZoneInfo(name)
    schedule = parsed(crontab, zone)
    for shift in debian.shifts(zone, year):
        start, end = shift - timedelta(hours=4), shift + timedelta(hours=5)
        expected = debian.runs(crontab, zone, start - timedelta(hours=1), end)
        assert list(between(schedule, start, end)) == [run for run in expected if run > start]


@given(CRONTABS, st.datetimes(naive("1600-01-01"), naive("2400-01-01")))
@settings(max_examples=150, deadline=None)
def test_runs_in_utc_match_croniter(crontab: Crontab, start: datetime) -> None:
    """Without daylight saving, three runs in a row match croniter, which gets the values as lists."""
    schedule = parsed(crontab, ZoneInfo("UTC"))
    parts = [crontab.minute, crontab.hour, crontab.day, crontab.month, crontab.weekday]
    lists = [",".join(map(str, sorted(part.values))) for part in parts[:4]]
    weekdays = ",".join(map(str, sorted({day % 7 for day in crontab.weekday.values})))
    either = "*" not in (crontab.day.text[0], crontab.weekday.text[0])
    theirs = croniter(" ".join([*lists, weekdays]), start, datetime, day_or=either)
    expected = [theirs.get_next().replace(tzinfo=UTC) for _ in range(3)]
    assert list(islice(schedule.occurrences(start.replace(tzinfo=UTC)), 3)) == expected


@given(CRONTABS, st.sampled_from(ZONES), st.datetimes(naive("1800-01-01"), naive("2200-01-01"), timezones=st.just(UTC)))
@settings(max_examples=150, deadline=None)
def test_next_after_increases_and_skips_no_run(crontab: Crontab, name: str, start: datetime) -> None:
    """Runs increase, and from any moment between two runs the next run is the later one."""
    schedule = parsed(crontab, ZoneInfo(name))
    runs = list(islice(schedule.occurrences(start), 4))
    for earlier, later in pairwise([start, *runs]):
        assert earlier < later
        assert schedule.next_after(earlier + (later - earlier) / 2) == later
        assert schedule.next_after(later - timedelta(microseconds=1)) == later


class Minutes:
    """A stepper that tries every minute."""

    def __init__(self, crontab: Crontab) -> None:
        self.crontab = crontab

    def next_after(self, wall: datetime) -> datetime | None:
        """Step minute by minute until the wall clock matches."""
        wall = wall.replace(second=0, microsecond=0) + debian.MINUTE
        while not self.crontab.matches(wall):
            wall += debian.MINUTE
        return wall


@given(CRONTABS.filter(lambda crontab: crontab.text.endswith("* * *")))
@settings(max_examples=25, deadline=None)
def test_zoned_schedule_with_another_calendar(crontab: Crontab) -> None:
    """The rules for daylight saving give the same runs with a calendar that is not croniter's."""
    zone, start = ZoneInfo("Europe/Berlin"), datetime(2026, 10, 24, 22, 30, tzinfo=UTC)
    stepper = ZonedSchedule(ZonedCalendar(Minutes(crontab), zone, parse_fields(crontab.text).wildcard))
    runs = [start]
    for _ in range(5):
        runs.append(stepper.next_after(runs[-1]) or start)
    assert runs[1:] == list(islice(CronExpression(crontab.text, zone).occurrences(start), 5))
