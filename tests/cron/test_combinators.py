"""Schedules that are made of others: Union and Except."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zlib import crc32
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq.cron import upcoming
from aioq.cron.schedule import ExplainedSchedule, Schedule
from aioq_cron import CronExpression, Every, Except, InvalidCronExpression, Union
from tests.cron.debian import fields
from tests.times import Listed, naive, shown, utc

BERLIN = "Europe/Berlin"
WORKDAYS = CronExpression("0 9 * * 1-5", BERLIN)
SATURDAYS = CronExpression("0 12 * * 6", BERLIN)
NOON_IN_TOKYO = CronExpression("0 12 * * *", "Asia/Tokyo")
HOURLY = Every(timedelta(hours=1))
CHRISTMAS = {date(2026, 12, 24), date(2026, 12, 25)}


def first(schedule: Schedule, count: int, start: str, zone: str = "UTC") -> list[str]:
    """The first ticks after a moment, on the clocks of a zone."""
    return [text[:16] for text in shown(islice(upcoming(schedule, utc(start)), count), zone)]


def test_a_union_fires_when_a_part_does() -> None:
    """In the order of time, whichever part it is."""
    assert first(Union(SATURDAYS, WORKDAYS), 3, "2026-01-02", BERLIN) == [
        "2026-01-02 09:00",
        "2026-01-03 12:00",
        "2026-01-05 09:00",
    ]


def test_a_union_fires_once_where_parts_meet() -> None:
    """Two parts with one tick are no two ticks."""
    union = Union(HOURLY, CronExpression("0,30 * * * *"))
    assert first(union, 3, "2026-01-01") == ["2026-01-01 00:30", "2026-01-01 01:00", "2026-01-01 01:30"]


def test_a_union_ends_with_its_last_part() -> None:
    """Parts that have no more ticks are left behind."""
    union = Union(Listed((utc("2026-01-01 10:00"),)), Listed((utc("2026-01-01 09:00"),)))
    assert first(union, 5, "2026-01-01") == ["2026-01-01 09:00", "2026-01-01 10:00"]


def test_excluded_dates_are_left_out() -> None:
    """The ticks of a day are left out, and no others."""
    assert first(Except(WORKDAYS, CHRISTMAS), 2, "2026-12-23", BERLIN) == ["2026-12-23 09:00", "2026-12-28 09:00"]


def test_dates_are_those_of_the_schedules_zone() -> None:
    """23:30 UTC on the 24th is the 25th in Berlin already."""
    nightly = CronExpression("30 0 * * *", BERLIN)
    assert first(Except(nightly, [date(2026, 12, 25)]), 2, "2026-12-23 12:00") == [
        "2026-12-23 23:30",
        "2026-12-25 23:30",
    ]


def test_dates_may_be_those_of_another_zone() -> None:
    """Midnight in UTC is the day before in New York; a schedule without a zone is left to UTC."""
    excluded = {date(2026, 12, 24)}
    daily = Every(timedelta(days=1))
    assert first(Except(daily, excluded, tz="America/New_York"), 2, "2026-12-23 12:00") == [
        "2026-12-24 00:00",
        "2026-12-26 00:00",
    ]
    assert first(Except(daily, excluded), 1, "2026-12-23 12:00") == ["2026-12-25 00:00"]


def test_another_schedules_ticks_are_left_out() -> None:
    """Only those that are ticks of both."""
    tens = Except(CronExpression("0 9,10 * * *"), CronExpression("0 9 * * 4"))
    assert first(tens, 3, "2026-01-01") == ["2026-01-01 10:00", "2026-01-02 09:00", "2026-01-02 10:00"]


class Unnamed:
    """A schedule without a text of its own."""

    def next_after(self, instant: datetime) -> datetime:
        """Return the next midnight in UTC."""
        return (instant + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)


class Sundays:
    """Dates that nobody could list."""

    def __contains__(self, day: object) -> bool:
        """Whether it is a Sunday."""
        assert type(day) is date
        return day.isoweekday() == 7


class Growing(dict[date, str]):
    """As the package holidays has them: a dict that grows when it is asked."""

    def __init__(self, subdiv: str) -> None:
        super().__init__()
        self.subdiv, self._asked = subdiv, "often"

    def __contains__(self, day: object) -> bool:
        """Whether it is a Sunday; remembers."""
        if isinstance(day, date) and day.isoweekday() == 7:
            self[day] = "Sunday"
        return super().__contains__(day)

    __hash__ = None


@pytest.mark.parametrize("excluded", [Sundays(), Growing("BY"), {date(2026, 1, 4): "Sunday"}, (date(2026, 1, 4),)])
def test_any_container_of_dates_will_do(excluded: object) -> None:
    """It is asked with plain dates; a dict goes by its keys."""
    schedule = Except(CronExpression("0 9 * * *"), excluded)  # type: ignore[arg-type]
    assert first(schedule, 3, "2026-01-02 12:00") == ["2026-01-03 09:00", "2026-01-05 09:00", "2026-01-06 09:00"]


def test_a_day_is_left_out_in_one_step() -> None:
    """However many ticks it has, and though there are weeks of such days."""
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
def test_a_day_ends_where_its_zone_says(zone: str, excluded: str, start: str, expected: str) -> None:
    """Days are left out to their very end, and not a tick more, when clocks change at midnight."""
    schedule = Except(CronExpression("*/30 * * * *", zone), {date.fromisoformat(excluded)})
    local = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    assert shown(islice(upcoming(schedule, local.astimezone(UTC)), 1), zone) == [expected]


def test_a_day_that_comes_back_is_left_out_again() -> None:
    """At Casey clocks went from 02:00 back to 23:00: the 4th had ended, and was there once more."""
    schedule = Except(CronExpression("*/30 * * * *", "Antarctica/Casey"), {date(2010, 3, 4)})
    assert shown(islice(upcoming(schedule, utc("2010-03-04 12:50")), 2), "Antarctica/Casey") == [
        "2010-03-05 00:00 +11:00",
        "2010-03-05 00:30 +11:00",
    ]
    assert shown(islice(upcoming(schedule, utc("2010-03-04 15:10")), 1), "Antarctica/Casey") == [
        "2010-03-05 00:00 +08:00",
    ]


def test_the_search_ends() -> None:
    """When all is left out there is no tick, and saying so does not take forever."""

    class Always:
        def __contains__(self, day: object) -> bool:
            return True

    assert Except(CronExpression("* * * * *"), Always()).next_after(utc("2026-01-01")) is None
    assert Except(HOURLY, HOURLY).next_after(utc("2026-01-01")) is None
    assert Except(CronExpression("* * * * *"), Always()).next_after(utc("9999-12-31 23:00")) is None


def test_they_nest() -> None:
    """Parts may be made of others."""
    schedule = Union(Except(WORKDAYS, CHRISTMAS), Except(Union(SATURDAYS, NOON_IN_TOKYO), SATURDAYS))
    assert first(schedule, 4, "2026-12-25", BERLIN) == [
        "2026-12-25 04:00",
        "2026-12-26 04:00",
        "2026-12-27 04:00",
        "2026-12-28 04:00",
    ]
    assert first(schedule, 6, "2026-12-25", BERLIN)[4] == "2026-12-28 09:00"


@pytest.mark.parametrize(
    ("schedule", "text", "words"),
    [
        (
            Union(WORKDAYS, SATURDAYS),
            "0 9 * * 1-5 and 0 12 * * 6",
            "at 09:00 on Monday to Friday; and at 12:00 on Saturday",
        ),
        (
            Union(WORKDAYS, NOON_IN_TOKYO),
            "0 9 * * 1-5 [Europe/Berlin] and 0 12 * * * [Asia/Tokyo]",
            "at 09:00 on Monday to Friday in Europe/Berlin; and at 12:00 every day in Asia/Tokyo",
        ),
        (
            Except(WORKDAYS, CHRISTMAS),
            "0 9 * * 1-5 except 2026-12-24 2026-12-25",
            "at 09:00 on Monday to Friday; but not on 2026-12-24 and 2026-12-25",
        ),
        (
            Except(Union(WORKDAYS, HOURLY), [date(2026, 1, 1)], tz="Asia/Tokyo"),
            "(0 9 * * 1-5 and every 1h) except 2026-01-01 [Asia/Tokyo]",
            "(at 09:00 on Monday to Friday; and every hour); but not on 2026-01-01 in Asia/Tokyo",
        ),
        (
            Except(HOURLY, WORKDAYS),
            "every 1h except 0 9 * * 1-5 [Europe/Berlin]",
            "every hour; but not at 09:00 on Monday to Friday in Europe/Berlin",
        ),
        (
            Union(Except(WORKDAYS, SATURDAYS), NOON_IN_TOKYO),
            "(0 9 * * 1-5 except 0 12 * * 6) [Europe/Berlin] and 0 12 * * * [Asia/Tokyo]",
            "(at 09:00 on Monday to Friday; but not at 12:00 on Saturday) in Europe/Berlin; and at 12:00 every day in Asia/Tokyo",
        ),
        (
            Union(Unnamed(), HOURLY),
            "tests.cron.test_combinators.Unnamed and every 1h",
            "tests.cron.test_combinators.Unnamed; and every hour",
        ),
        (
            Except(HOURLY, {date(2026, 1, day) for day in range(1, 8)}),
            "every 1h except " + " ".join(f"2026-01-0{day}" for day in range(1, 8)),
            "every hour; but not on 2026-01-01, 2026-01-02, 2026-01-03 and 4 more",
        ),
        (
            Except(HOURLY, set()),
            "every 1h except an empty set",
            "every hour; but not on an empty set",
        ),
        (
            Except(HOURLY, {date(2026, 1, 1): "New Year"}),
            "every 1h except 2026-01-01",
            "every hour; but not on 2026-01-01",
        ),
        (
            Except(HOURLY, Growing("BY")),
            "every 1h except tests.cron.test_combinators.Growing(subdiv='BY')",
            "every hour; but not on the dates of tests.cron.test_combinators.Growing(subdiv='BY')",
        ),
        (
            Except(HOURLY, Sundays()),
            "every 1h except tests.cron.test_combinators.Sundays()",
            "every hour; but not on the dates of tests.cron.test_combinators.Sundays()",
        ),
    ],
)
def test_their_text_says_all_that_matters(schedule: ExplainedSchedule, text: str, words: str) -> None:
    """Text is what entries are compared by among workers; words are for people. Being asked changes neither."""
    for _ in range(2):
        assert (str(schedule), schedule.in_words()) == (text, words)
        schedule.next_after(utc("2026-01-01"))


def test_equal_parts_make_equal_values() -> None:
    """Equality and hash go by the parts, and survive pickle; a set of dates may be given in any form."""
    for schedule, twin in [
        (Union(WORKDAYS, HOURLY), Union(CronExpression("0 9 * * 1-5", BERLIN), Every(timedelta(minutes=60)))),
        (Except(WORKDAYS, CHRISTMAS), Except(WORKDAYS, sorted(CHRISTMAS), tz=ZoneInfo(BERLIN))),
        (Except(HOURLY, WORKDAYS), Except(HOURLY, WORKDAYS)),
    ]:
        assert schedule == twin
        assert hash(schedule) == hash(twin)
        assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert Union(WORKDAYS, HOURLY) != Union(WORKDAYS)
    assert Except(WORKDAYS, CHRISTMAS) != Except(WORKDAYS, CHRISTMAS, tz="UTC")


def test_without_equal_parts_they_are_schedules_all_the_same() -> None:
    """A container without a hash makes a schedule without one."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Except(HOURLY, Growing("BY")))
    assert Except(HOURLY, Growing("BY")) == Except(HOURLY, Growing("BY"))


def test_a_set_that_changes_changes_nothing() -> None:
    """The dates are those at the definition."""
    dates = set(CHRISTMAS)
    schedule = Except(WORKDAYS, dates)
    dates.clear()
    assert schedule.excluded == CHRISTMAS


def test_they_show_what_they_were_made_of() -> None:
    """The parts can be read, and the repr shows how to make another."""
    assert Union(WORKDAYS, HOURLY).schedules == (WORKDAYS, HOURLY)
    schedule = Except(HOURLY, WORKDAYS)
    assert (schedule.schedule, schedule.excluded) == (HOURLY, WORKDAYS)
    assert repr(Union(SATURDAYS)) == "Union(CronExpression('0 12 * * 6', tz='Europe/Berlin'))"
    assert repr(Except(SATURDAYS, WORKDAYS)) == f"Except({SATURDAYS!r}, {WORKDAYS!r})"
    assert repr(Except(SATURDAYS, set())) == f"Except({SATURDAYS!r}, frozenset(), tz='Europe/Berlin')"


def test_the_zone_is_that_of_the_parts() -> None:
    """Those that have no zone do not count; several zones are none."""
    assert Union(WORKDAYS, HOURLY).tz == ZoneInfo(BERLIN)
    assert Union(WORKDAYS, NOON_IN_TOKYO).tz is None
    assert Union(HOURLY).tz is None
    assert Except(WORKDAYS, CHRISTMAS, tz="Asia/Tokyo").tz == ZoneInfo(BERLIN)
    assert Except(HOURLY, CHRISTMAS, tz="Asia/Tokyo").tz == ZoneInfo("Asia/Tokyo")
    assert Except(HOURLY, WORKDAYS).tz is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (Union, ValueError, "Union takes at least one schedule, got none"),
        (
            lambda: Union(HOURLY, "0 9 * * *"),  # type: ignore[arg-type]
            TypeError,
            "Union takes schedules, got the text '0 9 * * *'; write CronExpression('0 9 * * *')",
        ),
        (
            lambda: Except(5, CHRISTMAS),  # type: ignore[arg-type]
            TypeError,
            "Except takes schedules, which have a method next_after, got 5",
        ),
        (
            lambda: Except(HOURLY, "2026-12-24"),  # type: ignore[arg-type]
            TypeError,
            "Except excludes a container of dates or a schedule, got '2026-12-24'",
        ),
        (
            lambda: Except(HOURLY, date(2026, 12, 24)),  # type: ignore[arg-type]
            TypeError,
            "Except excludes a container of dates or a schedule, got datetime.date(2026, 12, 24)",
        ),
        (
            lambda: Except(HOURLY, [naive("2026-12-24")]),
            TypeError,
            "Except excludes whole days: give datetime.date objects, got datetime.datetime(2026, 12, 24, 0, 0)",
        ),
        (
            lambda: Except(HOURLY, {"2026-12-24"}),  # type: ignore[arg-type]
            TypeError,
            "Except excludes whole days: give datetime.date objects, got '2026-12-24'",
        ),
        (
            lambda: Except(HOURLY, CHRISTMAS, tz="Europe/Berln"),
            InvalidCronExpression,
            "tz 'Europe/Berln' is not a known time zone; did you mean 'Europe/Berlin'?",
        ),
        (
            lambda: Except(HOURLY, SATURDAYS, tz=BERLIN),
            ValueError,
            f"tz is the zone of dates, and {SATURDAYS!r} has its own; leave tz out",
        ),
    ],
    ids=range(9),
)
def test_what_makes_no_schedule_is_refused(make: object, error: type[Exception], message: str) -> None:
    """The message says what to give instead."""
    with pytest.raises(error) as refused:
        make()  # type: ignore[operator]
    assert str(refused.value) == message


SCHEDULES = st.one_of(
    st.builds(Every, st.integers(600, 200_000).map(lambda seconds: timedelta(seconds=seconds))),
    st.builds(
        lambda minute, hour, days: CronExpression(f"{minute.text} {hour.text} {days}", BERLIN),
        fields(0, 59),
        fields(0, 23),
        st.sampled_from(["* * *", "*/2 * *", "* * 1-5"]),
    ),
)
STARTS = st.datetimes(naive("2020-01-01"), naive("2030-01-01"), timezones=st.just(UTC))


def walk(schedule: Schedule, start: datetime, end: datetime) -> Iterator[datetime]:
    """The ticks after `start` and up to `end`."""
    for tick in upcoming(schedule, start):
        if tick > end:
            return
        yield tick


@given(st.lists(SCHEDULES, min_size=1, max_size=3), STARTS)
@settings(max_examples=60, deadline=None)
def test_a_union_is_the_merge_of_its_parts(schedules: list[Schedule], start: datetime) -> None:
    """No tick more, no tick less, each once and in order."""
    end = start + timedelta(hours=30)
    expected = sorted({tick for schedule in schedules for tick in walk(schedule, start, end)})
    assert list(walk(Union(*schedules), start, end)) == expected


@given(SCHEDULES, SCHEDULES, STARTS)
@settings(max_examples=25, deadline=None)
def test_except_is_the_difference_of_its_parts(schedule: Schedule, excluded: Schedule, start: datetime) -> None:
    """The ticks of the one that are no ticks of the other."""
    end = start + timedelta(hours=30)
    gone = set(walk(excluded, start, end))
    expected = [tick for tick in walk(schedule, start, end) if tick not in gone]
    assert list(walk(Except(schedule, excluded), start, end)) == expected


@dataclass(frozen=True)
class Drawn:
    """Dates that come at random, but always the same."""

    seed: int

    def __contains__(self, day: object) -> bool:
        """Whether it is one of them."""
        return crc32(b"%d %d" % (self.seed, day.toordinal())) % 3 == 0 if isinstance(day, date) else False


@given(SCHEDULES, st.integers(0, 100), STARTS, st.sampled_from(["UTC", BERLIN, "America/Sao_Paulo", "Pacific/Apia"]))
@settings(max_examples=60, deadline=None)
def test_except_leaves_out_the_ticks_of_dates(schedule: Schedule, seed: int, start: datetime, zone: str) -> None:
    """The ticks whose date, on the clocks of the zone, is not among the excluded."""
    end, dates = start + timedelta(days=3), Drawn(seed)
    expected = [tick for tick in walk(schedule, start, end) if tick.astimezone(ZoneInfo(zone)).date() not in dates]
    assert list(walk(Except(schedule, dates, tz=zone), start, end)) == expected
