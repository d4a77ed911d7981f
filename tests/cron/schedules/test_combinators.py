"""What Union and Except share: nesting, texts, equality, zones and errors."""

from __future__ import annotations

import pickle
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from aioq.cron.schedule import ExplainedSchedule
from aioq_cron import CronExpression, Every, Except, InvalidCronExpression, Union
from tests.cron.schedules.example_schedules import (
    BERLIN,
    CHRISTMAS,
    HOURLY,
    NOON_IN_TOKYO,
    SATURDAYS,
    WORKDAYS,
    Growing,
    Sundays,
    first,
)
from tests.times import naive, utc


class Unnamed:
    """A schedule without a text of its own."""

    def next_after(self, instant: datetime) -> datetime:
        """Return the next midnight in UTC."""
        return (instant + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)


def test_combinators_nest() -> None:
    """Union and Except take Union and Except as parts."""
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
            "tests.cron.schedules.test_combinators.Unnamed and every 1h",
            "tests.cron.schedules.test_combinators.Unnamed; and every hour",
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
            "every 1h except tests.cron.schedules.example_schedules.Growing(subdiv='BY')",
            "every hour; but not on the dates of tests.cron.schedules.example_schedules.Growing(subdiv='BY')",
        ),
        (
            Except(HOURLY, Sundays()),
            "every 1h except tests.cron.schedules.example_schedules.Sundays()",
            "every hour; but not on the dates of tests.cron.schedules.example_schedules.Sundays()",
        ),
    ],
)
def test_combinators_str_and_in_words(schedule: ExplainedSchedule, text: str, words: str) -> None:
    """`str` is compared among workers and `in_words` is for people; calls of `next_after` change neither."""
    for _ in range(2):
        assert (str(schedule), schedule.in_words()) == (text, words)
        schedule.next_after(utc("2026-01-01"))


def test_combinators_equality_and_hash() -> None:
    """Equality and hash depend on the parts, and survive pickle; a set of dates may have any form."""
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


def test_combinators_attributes_and_repr() -> None:
    """The parts are attributes, and the repr shows how to make an equal value."""
    assert Union(WORKDAYS, HOURLY).schedules == (WORKDAYS, HOURLY)
    schedule = Except(HOURLY, WORKDAYS)
    assert (schedule.schedule, schedule.excluded) == (HOURLY, WORKDAYS)
    assert repr(Union(SATURDAYS)) == "Union(CronExpression('0 12 * * 6', tz='Europe/Berlin'))"
    assert repr(Except(SATURDAYS, WORKDAYS)) == f"Except({SATURDAYS!r}, {WORKDAYS!r})"
    assert repr(Except(SATURDAYS, set())) == f"Except({SATURDAYS!r}, frozenset(), tz='Europe/Berlin')"


def test_combinators_zone_of_the_parts() -> None:
    """The zone is the common zone of the parts that have one; different zones give None."""
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
            "excluded days are whole: give datetime.date objects, got datetime.datetime(2026, 12, 24, 0, 0)",
        ),
        (
            lambda: Except(HOURLY, {"2026-12-24"}),  # type: ignore[arg-type]
            TypeError,
            "excluded days are whole: give datetime.date objects, got '2026-12-24'",
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
def test_combinators_invalid_arguments_are_refused(make: object, error: type[Exception], message: str) -> None:
    """The error says what to pass instead."""
    with pytest.raises(error) as refused:
        make()  # type: ignore[operator]
    assert str(refused.value) == message
