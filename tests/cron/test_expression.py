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
from aioq_cron import CronExpression, InvalidCronExpression
from aioq_cron.days import CroniterDays, FieldStepper, day_stepper
from aioq_cron.parser import parse_fields
from aioq_cron.zones import find_zone
from tests.times import local, naive, utc

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


def test_it_is_a_schedule() -> None:
    """A CronExpression is what core calls a Schedule."""
    assert isinstance(CronExpression("* * * * *"), Schedule)


def test_equal_text_and_zone_make_equal_values() -> None:
    """Equality and hash go by text and zone, however the zone was given."""
    by_name, by_zone = CronExpression("0  9 * * *", "Asia/Tokyo"), CronExpression("0 9 * * *", ZoneInfo("Asia/Tokyo"))
    assert by_name == by_zone
    assert hash(by_name) == hash(by_zone)
    assert by_name != CronExpression("0 9 * * *")
    assert by_name != CronExpression("1 9 * * *", "Asia/Tokyo")
    assert by_name != "0 9 * * *"


def test_utc_is_the_zone_unless_given() -> None:
    """No zone means UTC, whatever the host's zone is."""
    assert CronExpression("0 9 * * *") == CronExpression("0 9 * * *", "UTC")
    assert CronExpression("0 9 * * *").next_after(utc("2026-01-01")) == utc("2026-01-01 09:00")


def test_it_shows_what_it_was_made_of() -> None:
    """Text, zone, str and repr give back what was passed in."""
    schedule = CronExpression(" 0 9 * * 1-5", "Europe/Berlin")
    assert (schedule.expression, schedule.tz) == ("0 9 * * 1-5", ZoneInfo("Europe/Berlin"))
    assert str(schedule) == "0 9 * * 1-5"
    assert repr(schedule) == "CronExpression('0 9 * * 1-5', tz='Europe/Berlin')"


def test_it_survives_pickle_and_copy() -> None:
    """A copy is equal and gives the same answers."""
    schedule = CronExpression("30 2 * * *", "Europe/Berlin")
    for twin in (pickle.loads(pickle.dumps(schedule)), copy.copy(schedule), copy.deepcopy(schedule)):
        assert twin == schedule
        assert twin.next_after(utc("2026-01-01")) == utc("2026-01-01 01:30")


def test_a_zone_without_a_name_is_only_equal_to_itself(tmp_path: Path) -> None:
    """A zone read from a file works, and is not taken for the one whose name it bears."""
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
def test_a_naive_start_is_refused(start: datetime) -> None:
    """A datetime without a zone is a ValueError that says what to use."""
    with pytest.raises(ValueError, match=r"has no time zone; use an aware datetime"):
        CronExpression("* * * * *").next_after(start)
    with pytest.raises(ValueError, match=r"has no time zone; use an aware datetime"):
        CronExpression("* * * * *").occurrences(start)


@pytest.mark.parametrize("start", [None, 1_767_225_600.0, "2026-01-01", date(2026, 1, 1)])
def test_a_start_that_is_no_datetime_is_refused(start: object) -> None:
    """Seconds, text and dates are a TypeError that shows what was given."""
    with pytest.raises(TypeError, match=r"^expected an aware datetime, got "):
        CronExpression("* * * * *").next_after(start)  # type: ignore[arg-type]


def test_answers_are_in_utc_whatever_the_start() -> None:
    """A start in any zone is the moment it names, and the answer is in UTC."""
    answer = CronExpression("0 9 * * *", "Asia/Tokyo").next_after(local("2026-01-01 12:00", "America/New_York"))
    assert answer == utc("2026-01-02 00:00")
    assert answer is not None
    assert answer.tzinfo is UTC


def test_answers_are_strictly_later() -> None:
    """A start on a match gives the match after it; one just before gives the match."""
    schedule = CronExpression("*/5 * * * *")
    match = utc("2026-01-01 00:05")
    assert schedule.next_after(match) == utc("2026-01-01 00:10")
    assert schedule.next_after(match - timedelta(microseconds=1)) == match


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize(
    "expression", ["* * * * *", "0 9 * * *", "0 0 29 2 *", "0 0 1 1 *", "0 0 13 * FRI", "0 0 29 2 */7"]
)
def test_the_calendar_ends_without_an_error(expression: str, zone: str) -> None:
    """After the last match of the year 9999 there is None, and the last days still fire."""
    schedule = CronExpression(expression, zone)
    assert schedule.next_after(LATEST) is None
    last_years = list(islice(schedule.occurrences(LATEST - timedelta(days=1.5)), 3_000))
    assert all(later > earlier for earlier, later in pairwise(last_years))
    assert expression != "0 9 * * *" or len(last_years) in (1, 2)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_the_calendar_begins_without_an_error(zone: str) -> None:
    """The first moment there is can be a start, in zones to either side of UTC."""
    first = CronExpression("* * * * *", zone).next_after(EARLIEST)
    assert first is not None
    assert EARLIEST < first < EARLIEST + timedelta(days=1)


def test_a_start_beyond_the_calendar_counts_as_its_end() -> None:
    """Starts whose UTC is before the year 1 or after 9999 are no error either."""
    schedule = CronExpression("* * * * *")
    assert schedule.next_after(datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))) is None
    assert schedule.next_after(datetime.min.replace(tzinfo=timezone(timedelta(hours=5)))) == utc("0001-01-01 00:01")


def test_29_february_is_found_across_a_century() -> None:
    """The eight years around 1900 and 2100, which are no leap years, are stepped over."""
    schedule = CronExpression("0 0 29 2 *")
    assert schedule.next_after(utc("1896-03-01")) == utc("1904-02-29")
    assert schedule.next_after(utc("2096-03-01")) == utc("2104-02-29")


def test_every_date_meets_every_weekday_within_40_years() -> None:
    """No day that exists is ruled out by a weekday: the Gregorian calendar repeats after 400 years."""
    years = defaultdict[tuple[int, int, int], list[int]](list)
    for year in range(2000, 2800):
        for month in range(1, 13):
            first, length = calendar.monthrange(year, month)
            for day in range(1, length + 1):
                years[month, day, (first + day) % 7].append(year)
    assert len(years) == 366 * 7
    assert max(later - earlier for met in years.values() for earlier, later in pairwise(met)) == 40


def test_29_february_on_a_weekday_is_found_after_40_years() -> None:
    """The longest wait there is between two matches does not end the search."""
    schedule = CronExpression("0 0 29 2 */7")
    assert list(islice(schedule.occurrences(utc("2060-01-01")), 2)) == [utc("2060-02-29"), utc("2088-02-29")]
    waits = [
        later.year - earlier.year for earlier, later in pairwise(islice(schedule.occurrences(utc("1600-01-01")), 60))
    ]
    assert max(waits) == 40


def test_a_microsecond_counts_in_any_year() -> None:
    """A moment just before a match gives the match, however far away."""
    match = utc("9000-01-01 09:00")
    assert CronExpression("0 9 * * *").next_after(match - timedelta(microseconds=1)) == match


@pytest.mark.parametrize(("day", "last"), [("1", "9999-12-27"), ("29", "9999-12-29"), ("31", "9999-12-31")])
def test_alternatives_last_until_the_calendar_ends(day: str, last: str) -> None:
    """Where one of the two day fields has no match left, the other still has its own."""
    schedule = CronExpression(f"0 0 {day} * MON")
    assert list(schedule.occurrences(utc("9999-12-24")))[-1] == utc(last)


@pytest.fixture
def _restless() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("_restless")
def test_threads_may_share_one() -> None:
    """Asked from several threads at once, it gives each the right answer."""
    schedule = CronExpression("0 9 * * SAT")
    saturday = utc("2026-01-03 09:00")
    # Backwards, so that no answer is the one before.
    expected = [saturday + timedelta(days=7 * week) for week in reversed(range(4_000))]
    starts = [tick - timedelta(days=7) for tick in expected]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(schedule.next_after, starts)) == expected


def test_the_calendar_of_an_expression_ends_with_none() -> None:
    """Neither the last day nor the last minute is an error."""
    fields = parse_fields("30 12 * * *")
    stepper = FieldStepper(fields, day_stepper(fields))
    assert stepper.next_after(naive("9999-12-31 12:29")) == naive("9999-12-31 12:30")
    assert stepper.next_after(naive("9999-12-31 12:30")) is None
    assert stepper.next_after(datetime.max) is None


def test_a_day_that_is_not_found_is_an_error() -> None:
    """Only the end of the calendar ends a search; if croniter finds nothing before, that is told."""
    never = CroniterDays("30", "2", "*")
    with pytest.raises(ValueError, match="failed to find"):
        never.first_from(date(2026, 1, 1))
    assert never.first_from(date(9990, 1, 1)) is None


@pytest.mark.parametrize(
    ("tz", "message"),
    [
        ("Europe/Berln", "tz 'Europe/Berln' is not a known time zone; did you mean 'Europe/Berlin'?"),
        ("europe/berlin", "tz 'europe/berlin' is not a known time zone; did you mean 'Europe/Berlin'?"),
        ("Berlin", "tz 'Berlin' is not a known time zone; did you mean 'Europe/Berlin'?"),
        ("new york", "tz 'new york' is not a known time zone; did you mean 'America/New_York'?"),
        ("CEST", "tz 'CEST' is not a known time zone"),
        ("UTC+2", "tz 'UTC+2' is not a known time zone"),
        ("Middle/Earth", "tz 'Middle/Earth' is not a known time zone"),
        ("Europe", "tz 'Europe' is not a known time zone"),
        ("", "tz '' is not a known time zone"),
        ("../passwd", "tz '../passwd' is not a known time zone"),
        ("\ud800\0", r"tz '\ud800\x00' is not a known time zone"),
        ("x" * 5_000, f"tz '{'x' * 60}' is not a known time zone"),
    ],
)
def test_an_unknown_zone_is_refused(tz: str, message: str) -> None:
    """A zone that does not exist is named, with the one that was probably meant."""
    with pytest.raises(InvalidCronExpression) as refused:
        CronExpression("* * * * *", tz)
    assert str(refused.value) == message
    assert refused.value.field == "tz"


@pytest.mark.parametrize("tz", [2, UTC, b"UTC"])
def test_a_zone_of_another_type_is_refused(tz: object) -> None:
    """Offsets and other tzinfo classes are a TypeError."""
    with pytest.raises(TypeError, match=r'^tz is a name such as "Europe/Berlin", a ZoneInfo or None, got '):
        CronExpression("* * * * *", tz)  # type: ignore[arg-type]


def test_missing_zone_data_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the host has no zone data at all, the message says what to install."""
    monkeypatch.setattr("aioq_cron.zones.available_timezones", set)
    with pytest.raises(InvalidCronExpression, match=r"no time zone data here; run: pip install tzdata"):
        find_zone("Middle/Earth")
