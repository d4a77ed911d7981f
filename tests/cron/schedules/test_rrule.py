"""Rrule: recurrence rules of calendars, by dateutil."""

from __future__ import annotations

import pickle
import sys
from datetime import date, datetime
from importlib import import_module
from itertools import islice

import pytest

from aioq.cron import upcoming
from aioq_cron import Rrule
from tests.cron.schedules.example_schedules import BERLIN, first
from tests.times import naive, utc

START = naive("2026-01-01 09:00")


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=MONTHLY;BYDAY=2TU",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;BYHOUR=9,17",
        "FREQ=YEARLY;BYMONTH=3,9;BYMONTHDAY=-1",
        "RRULE:FREQ=DAILY;INTERVAL=3\nEXDATE:20260104T090000",
    ],
)
def test_rrule_has_ticks_of_dateutil(rule: str) -> None:
    """In UTC the ticks are those of the rule, from any moment and also backwards."""
    theirs = import_module("dateutil.rrule").rrulestr(rule, dtstart=START)
    schedule, ticks = Rrule(rule, start=START), [tick.isoformat() for tick in islice(theirs, 12)]
    assert [tick.isoformat()[:19] for tick in upcoming(schedule, utc("2026-01-01"), 12)] == ticks
    for at in (8, 2, 5):
        asked = utc(ticks[at].replace("T", " "))
        assert (schedule.next_after(asked) or asked).isoformat()[:19] == ticks[at + 1]
        assert (schedule.previous_before(asked) or asked).isoformat()[:19] == ticks[at - 1]


def test_rrule_keeps_its_time_over_clock_changes() -> None:
    """A rule is read on the clock of its zone, where a skipped time fires at the end of the gap."""
    schedule = Rrule("FREQ=DAILY", start=naive("2026-03-28 02:30"), tz=BERLIN)
    assert first(schedule, 3, "2026-03-01", BERLIN) == ["2026-03-28 02:30", "2026-03-29 03:00", "2026-03-30 02:30"]


def test_rrule_ends_with_its_count() -> None:
    """A rule with a count has no further ticks, and its earlier ones are still found."""
    schedule = Rrule("FREQ=DAILY;COUNT=3", start=START)
    assert schedule.next_after(utc("2026-01-03 09:00")) is None
    assert schedule.next_after(utc("2026-01-01")) == utc("2026-01-01 09:00")


def test_rrule_texts_and_equality() -> None:
    """The text has rule and start; equality goes by it and the zone, and survives pickle."""
    schedule = Rrule("freq=monthly;byday=2TU", start=START, tz=BERLIN)
    assert str(schedule) == schedule.canonical == "FREQ=MONTHLY;BYDAY=2TU from 2026-01-01 09:00:00"
    assert schedule.in_words() == "by the rule FREQ=MONTHLY;BYDAY=2TU, from 2026-01-01 09:00:00 on"
    assert schedule == Rrule("FREQ=MONTHLY;BYDAY=2TU", start=START, tz=BERLIN)
    assert pickle.loads(pickle.dumps(schedule)) == schedule


@pytest.mark.parametrize(
    ("rule", "start", "error", "message"),
    [
        (5, START, TypeError, "^rule is a text such as"),
        ("FREQ=DAILY", date(2026, 1, 1), TypeError, "^start is a naive datetime"),
        ("FREQ=DAILY", utc("2026-01-01"), TypeError, "^start is a naive datetime"),
        ("DTSTART:20260101T090000\nRRULE:FREQ=DAILY", START, ValueError, "leave out its DTSTART"),
        ("FREQ=DAILY;UNTIL=20270101T000000Z", START, ValueError, "without the Z$"),
        ("FREQ=MINUTELY", START, ValueError, "^FREQ=MINUTELY is too frequent for Rrule"),
        ("FREQ=DAILY;INTERVAL=0", START, ValueError, "^INTERVAL=0 is no interval"),
        ("FREQ=DAILY;INTERVAL=-1;COUNT=2", START, ValueError, "^INTERVAL=-1 is no interval"),
        ("FREQ=DAYLY", START, ValueError, "^FREQ=DAYLY is too frequent|not a rule"),
        ("INTERVAL=2", START, ValueError, "is not a rule of RFC 5545"),
        ("FREQ=DAILY;BYDAY=XX", START, ValueError, "is not a rule of RFC 5545"),
        ("FREQ=DAILY;UNTIL=20250101T000000", START, ValueError, "never fires from 2026-01-01 09:00:00 on$"),
    ],
)
def test_wrong_rrule_is_refused(rule: object, start: object, error: type[Exception], message: str) -> None:
    """A rule that is wrong, or not one for a schedule, is refused with a reason."""
    with pytest.raises(error, match=message):
        Rrule(rule, start=start)  # type: ignore[arg-type]


def test_rrule_from_the_first_moment_of_the_calendar() -> None:
    """A rule may start when the calendar does, before which there is no moment."""
    rule = Rrule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", start=datetime.min)
    assert rule.next_after(utc("2026-01-01")) == utc("2044-02-29")


def test_rrule_without_dateutil_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "dateutil.rrule", None)
    with pytest.raises(ModuleNotFoundError, match=r"run: pip install 'aioq-cron\[rrule\]'$"):
        Rrule("FREQ=DAILY", start=datetime(2026, 1, 1))
