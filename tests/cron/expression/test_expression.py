"""CronExpression as a value and as a schedule, up to the ends of the calendar."""

from __future__ import annotations

import calendar
import copy
import pickle
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice, pairwise
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

import pytest

from aioq.cron.schedule import Schedule
from aioq_cron import CronExpression
from tests.times import local, naive, utc

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


def test_expression_is_a_schedule() -> None:
    """A CronExpression implements the Schedule protocol of aioq."""
    assert isinstance(CronExpression("* * * * *"), Schedule)


def test_expression_equality_and_hash() -> None:
    """Equality and hash depend on text and zone, however the zone was given."""
    by_name, by_zone = CronExpression("0  9 * * *", "Asia/Tokyo"), CronExpression("0 9 * * *", ZoneInfo("Asia/Tokyo"))
    assert by_name == by_zone
    assert hash(by_name) == hash(by_zone)
    assert by_name != CronExpression("0 9 * * *")
    assert by_name != CronExpression("1 9 * * *", "Asia/Tokyo")
    assert by_name != "0 9 * * *"


def test_expression_without_zone_is_in_utc() -> None:
    """No zone means UTC, whatever the zone of the host is."""
    assert CronExpression("0 9 * * *") == CronExpression("0 9 * * *", "UTC")
    assert CronExpression("0 9 * * *").next_after(utc("2026-01-01")) == utc("2026-01-01 09:00")


def test_expression_str_and_repr() -> None:
    """Text, zone, str and repr show the arguments."""
    schedule = CronExpression(" 0 9 * * 1-5", "Europe/Berlin")
    assert (schedule.expression, schedule.tz) == ("0 9 * * 1-5", ZoneInfo("Europe/Berlin"))
    assert str(schedule) == "0 9 * * 1-5"
    assert repr(schedule) == "CronExpression('0 9 * * 1-5', tz='Europe/Berlin')"


def test_expression_pickle_and_copy_are_equal() -> None:
    """A copy is equal and has the same ticks."""
    schedule = CronExpression("30 2 * * *", "Europe/Berlin")
    for twin in (pickle.loads(pickle.dumps(schedule)), copy.copy(schedule), copy.deepcopy(schedule)):
        assert twin == schedule
        assert twin.next_after(utc("2026-01-01")) == utc("2026-01-01 01:30")


def test_expression_zone_from_file_equals_only_itself(tmp_path: Path) -> None:
    """A zone that was read from a file works, and differs from the zone with the same name."""
    stored = next(path for folder in TZPATH if (path := Path(folder, "Asia/Tokyo")).exists())
    with stored.open("rb") as nameless, stored.open("rb") as named:
        zones = ZoneInfo.from_file(nameless), ZoneInfo.from_file(named, key="Asia/Tokyo")
    for zone in zones:
        schedule = CronExpression("0 9 * * *", zone)
        assert schedule.next_after(utc("2026-01-01")) == utc("2026-01-02")
        assert schedule == CronExpression("0 9 * * *", zone)
        assert schedule != CronExpression("0 9 * * *", "Asia/Tokyo")
        assert "ZoneInfo" in repr(schedule) or "Asia/Tokyo" in repr(schedule)


@pytest.mark.parametrize("start", [naive("2026-01-01"), datetime.min, datetime.max])
def test_next_after_naive_start_raises_value_error(start: datetime) -> None:
    """A datetime without a zone raises a ValueError that says what to use."""
    with pytest.raises(ValueError, match=r"has no time zone; use an aware datetime"):
        CronExpression("* * * * *").next_after(start)
    with pytest.raises(ValueError, match=r"has no time zone; use an aware datetime"):
        CronExpression("* * * * *").occurrences(start)


@pytest.mark.parametrize("start", [None, 1_767_225_600.0, "2026-01-01", date(2026, 1, 1)])
def test_next_after_non_datetime_raises_type_error(start: object) -> None:
    """Seconds, text and dates raise a TypeError that shows the argument."""
    with pytest.raises(TypeError, match=r"^expected an aware datetime, got "):
        CronExpression("* * * * *").next_after(start)  # type: ignore[arg-type]


def test_next_after_returns_utc_for_any_start() -> None:
    """A start may be in any zone, and the tick is in UTC."""
    answer = CronExpression("0 9 * * *", "Asia/Tokyo").next_after(local("2026-01-01 12:00", "America/New_York"))
    assert answer == utc("2026-01-02 00:00")
    assert answer is not None
    assert answer.tzinfo is UTC


def test_next_after_is_strictly_later() -> None:
    """A start on a tick gives the tick after it; a start just before a tick gives that tick."""
    schedule = CronExpression("*/5 * * * *")
    match = utc("2026-01-01 00:05")
    assert schedule.next_after(match) == utc("2026-01-01 00:10")
    assert schedule.next_after(match - timedelta(microseconds=1)) == match


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize(
    "expression", ["* * * * *", "0 9 * * *", "0 0 29 2 *", "0 0 1 1 *", "0 0 13 * FRI", "0 0 29 2 */7"]
)
def test_next_after_calendar_end_returns_none(expression: str, zone: str) -> None:
    """After the last match of the year 9999 `next_after` returns None, and the last days still fire."""
    schedule = CronExpression(expression, zone)
    assert schedule.next_after(LATEST) is None
    last_years = list(islice(schedule.occurrences(LATEST - timedelta(days=1.5)), 3_000))
    assert all(later > earlier for earlier, later in pairwise(last_years))
    assert expression != "0 9 * * *" or len(last_years) in (1, 2)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_next_after_first_moment_of_calendar(zone: str) -> None:
    """The first moment of the calendar can be a start, in zones on either side of UTC."""
    first = CronExpression("* * * * *", zone).next_after(EARLIEST)
    assert first is not None
    assert EARLIEST < first < EARLIEST + timedelta(days=1)


def test_next_after_start_outside_calendar() -> None:
    """A start whose UTC is before the year 1 or after 9999 is no error."""
    schedule = CronExpression("* * * * *")
    assert schedule.next_after(datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))) is None
    assert schedule.next_after(datetime.min.replace(tzinfo=timezone(timedelta(hours=5)))) == utc("0001-01-01 00:01")


def test_next_after_29_february_across_a_century() -> None:
    """The eight years around 1900 and 2100, which are not leap years, are stepped over."""
    schedule = CronExpression("0 0 29 2 *")
    assert schedule.next_after(utc("1896-03-01")) == utc("1904-02-29")
    assert schedule.next_after(utc("2096-03-01")) == utc("2104-02-29")


def test_calendar_every_date_and_weekday_within_40_years() -> None:
    """No existing day is ruled out by a weekday: the Gregorian calendar repeats after 400 years."""
    years = defaultdict[tuple[int, int, int], list[int]](list)
    for year in range(2000, 2800):
        for month in range(1, 13):
            first, length = calendar.monthrange(year, month)
            for day in range(1, length + 1):
                years[month, day, (first + day) % 7].append(year)
    assert len(years) == 366 * 7
    assert max(later - earlier for met in years.values() for earlier, later in pairwise(met)) == 40


def test_next_after_29_february_on_sunday() -> None:
    """The longest wait between two matches, 40 years, does not end the search."""
    schedule = CronExpression("0 0 29 2 */7")
    assert list(islice(schedule.occurrences(utc("2060-01-01")), 2)) == [utc("2060-02-29"), utc("2088-02-29")]
    waits = [
        later.year - earlier.year for earlier, later in pairwise(islice(schedule.occurrences(utc("1600-01-01")), 60))
    ]
    assert max(waits) == 40


def test_next_after_microsecond_before_a_tick() -> None:
    """A start one microsecond before a tick gives that tick, in any year."""
    match = utc("9000-01-01 09:00")
    assert CronExpression("0 9 * * *").next_after(match - timedelta(microseconds=1)) == match


@pytest.mark.parametrize(("day", "last"), [("1", "9999-12-27"), ("29", "9999-12-29"), ("31", "9999-12-31")])
def test_next_after_either_day_field_at_calendar_end(day: str, last: str) -> None:
    """If one of the two day fields has no match left, the other one still fires."""
    schedule = CronExpression(f"0 0 {day} * MON")
    assert list(schedule.occurrences(utc("9999-12-24")))[-1] == utc(last)


@pytest.fixture
def _restless() -> Iterator[None]:
    """Let threads switch as often as possible."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("_restless")
def test_expression_shared_by_threads() -> None:
    """Several threads that call one expression get the right answers."""
    schedule = CronExpression("0 9 * * SAT")
    saturday = utc("2026-01-03 09:00")
    # Backwards, so that no tick can come from the cache of the tick before.
    expected = [saturday + timedelta(days=7 * week) for week in reversed(range(4_000))]
    starts = [tick - timedelta(days=7) for tick in expected]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(schedule.next_after, starts)) == expected
