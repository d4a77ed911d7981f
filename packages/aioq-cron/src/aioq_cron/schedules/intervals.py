"""Schedules of calendar intervals: every n days, weeks or months, and business days, at times of the day."""

from __future__ import annotations

import re
from collections.abc import Container, Hashable, Iterable
from datetime import date, datetime, time, tzinfo
from typing import cast

from aioq.cron import ClockChange
from aioq.cron.zones import zone_text
from aioq.options import whole
from aioq_cron.calendar.day_rules import ORDINALS
from aioq_cron.calendar.days import DayStepper
from aioq_cron.calendar.fields import WEEKDAY
from aioq_cron.calendar.interval_days import (
    BusinessMonthDays,
    DayInterval,
    MonthInterval,
    WallTimes,
    WeekInterval,
    Workdays,
)
from aioq_cron.calendar.stepper import CalendarStepper, ZonedCalendar, ZonedSchedule, in_utc
from aioq_cron.describe.clock_changes import changes_between
from aioq_cron.describe.words import joined
from aioq_cron.schedules.combinators import Combinable
from aioq_cron.schedules.exclude import ExcludedDates, as_dates
from aioq_cron.zones import find_zone

__all__ = ["BusinessDays", "CalendarSchedule", "EveryDays", "EveryMonths", "EveryWeeks"]

_FIRST_DAY = date(1970, 1, 1)
_FIRST_MONDAY = date(1970, 1, 5)
_TIME = re.compile(r"(\d\d):(\d\d)(?::(\d\d))?", re.ASCII)
_NAMES = (*WEEKDAY.names[1:], WEEKDAY.names[0])
_MOST_BUSINESS_DAYS = 15
"""Business days that every month has, if few of its days are holidays."""


class CalendarSchedule(ZonedSchedule, Combinable):
    """The base of the schedules whose ticks are wall times in a zone.

    A clock change does not move the times. A time that is skipped fires once, at the first moment after the gap, and
    one that is repeated fires in its first pass: the rules of cron for a fixed time.
    """

    __slots__ = ("_facts", "_text", "_words")

    def __init__(self, calendar: CalendarStepper, tz: str | tzinfo | None, *, text: str, words: str) -> None:
        super().__init__(ZonedCalendar(calendar, find_zone(tz), wildcard=False))
        self._text = text
        self._words = words
        self._facts: tuple[Hashable, ...] = (text,)

    @property
    def tz(self) -> tzinfo:
        """The zone of its times."""
        return self.zoned.zone

    @property
    def canonical(self) -> str:
        """The one text that all ways to write this schedule share, without its zone."""
        return self._text

    def in_words(self) -> str:
        """Return when it fires, in words. The zone is not named."""
        return self._words

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return the clock changes of its zone in [start, end), in order, with their effect on its runs.

        Raises:
            TypeError: `start` or `end` is not a datetime.
            ValueError: It is naive.
        """
        return changes_between(self.zoned, in_utc(start), in_utc(end))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CalendarSchedule):
            return NotImplemented
        return (self._facts, self.tz) == (other._facts, other.tz)

    def __hash__(self) -> int:
        return hash((self._facts, self.tz))

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._text} [{zone_text(self.tz)}]>"


class _DaysAtTimes(CalendarSchedule):
    """Fires at times of the days that a stepper finds."""

    __slots__ = ()

    def __init__(
        self, days: DayStepper, which: str, *, at: object, tz: str | tzinfo | None, start: date | None = None
    ) -> None:
        times = _times(at)
        clock = [moment.isoformat("seconds" if moment.second else "minutes") for moment in times]
        since = "" if start is None else f" from {start}"
        super().__init__(
            WallTimes(days, times),
            tz,
            text=f"{which} at {' '.join(clock)}{since}",
            words=f"at {joined(clock)} {which}{since and f',{since} on'}",
        )


class EveryDays(_DaysAtTimes):
    """Fires every `days` days at one or several times of the day.

    Args:
        days: 1 to 3653.
        at: A time such as `"09:00"`, or several; midnight by default.
        tz: A zone, or its name; UTC when None.
        start: The first day; 1 January 1970 when None.
    Raises:
        InvalidCronExpression: There is no such zone.
        TypeError, ValueError: Another argument is of the wrong type or out of range; the message names it.
    """

    __slots__ = ()

    def __init__(
        self,
        days: int,
        *,
        at: str | time | Iterable[str | time] = "00:00",
        tz: str | tzinfo | None = None,
        start: date | None = None,
    ) -> None:
        whole("days", days, 1, 3_653)
        super().__init__(DayInterval(days, _day(start, _FIRST_DAY)), _every(days, "day"), at=at, tz=tz, start=start)


class EveryWeeks(_DaysAtTimes):
    """Fires on given weekdays of every `weeks`th week, at one or several times of the day. Weeks begin on Monday.

    Args:
        weeks: 1 to 521.
        on: Weekdays such as `"MON"`, one or several; when None the weekday of `start`.
        at, tz: As for `EveryDays`.
        start: The first day. Its week is the first; Monday, 5 January 1970 when None.
    Raises:
        InvalidCronExpression, TypeError, ValueError: As for `EveryDays`.
    """

    __slots__ = ()

    def __init__(
        self,
        weeks: int,
        *,
        on: str | Iterable[str] | None = None,
        at: str | time | Iterable[str | time] = "00:00",
        tz: str | tzinfo | None = None,
        start: date | None = None,
    ) -> None:
        whole("weeks", weeks, 1, 521)
        first = _day(start, _FIRST_MONDAY)
        weekdays = (first.weekday(),) if on is None else _weekdays(on)
        which = f"on {joined([_NAMES[day] for day in weekdays])} of {_every(weeks, 'week')}"
        super().__init__(WeekInterval(weeks, first, weekdays), which, at=at, tz=tz, start=start)


class EveryMonths(_DaysAtTimes):
    """Fires every `months` months at one or several times of the day, on the day of the month that `start` has.

    A month without that day has its last day instead: with a start on the 31st it fires on the last day of each month.

    Args:
        months: 1 to 120.
        at, tz, start: As for `EveryDays`.
    Raises:
        InvalidCronExpression, TypeError, ValueError: As for `EveryDays`.
    """

    __slots__ = ()

    def __init__(
        self,
        months: int,
        *,
        at: str | time | Iterable[str | time] = "00:00",
        tz: str | tzinfo | None = None,
        start: date | None = None,
    ) -> None:
        whole("months", months, 1, 120)
        days = MonthInterval(months, _day(start, _FIRST_DAY))
        super().__init__(days, _every(months, "month"), at=at, tz=tz, start=start)


class BusinessDays(_DaysAtTimes):
    """Fires on Monday to Friday except on holidays, or on one such day of each month, at one or several times.

    It has a hash if the container of holidays has one.

    Args:
        at, tz: As for `EveryDays`.
        holidays: Anything that answers `date in holidays`, such as a set, or an object of the package `holidays`.
            A set, list or tuple of dates is copied.
        of_month: 1 for the first business day of each month, -1 for the last one, up to 15 and -15; every business
            day when None. It does not fire in a month with fewer business days.
    Raises:
        InvalidCronExpression, TypeError, ValueError: As for `EveryDays`.
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        at: str | time | Iterable[str | time] = "00:00",
        tz: str | tzinfo | None = None,
        holidays: Container[date] = (),
        of_month: int | None = None,
    ) -> None:
        dates = as_dates(holidays, "holidays is a container of dates")
        days: Workdays | BusinessMonthDays = Workdays(dates)
        which = "every business day"
        if of_month is not None:
            whole("of_month", of_month, -_MOST_BUSINESS_DAYS, _MOST_BUSINESS_DAYS)
            days, which = BusinessMonthDays(dates, of_month), f"{_ordinal(of_month)} business day of each month"
        super().__init__(days, which, at=at, tz=tz)
        excluded = ExcludedDates(dates, self.tz)
        if dates != frozenset():
            self._text += f" except {excluded.text(self.tz)}"
            self._words += f", but not {excluded.words(self.tz)}"
        # A container may be equal to another with the same text, and have other dates.
        self._facts = (self._text, cast("Hashable", dates))


def _every(count: int, unit: str) -> str:
    return f"every {unit}" if count == 1 else f"every {count} {unit}s"


def _day(start: object, default: date) -> date:
    if start is None:
        return default
    if not isinstance(start, date) or isinstance(start, datetime):
        raise TypeError(f"start is the first day, a datetime.date, got {start!r}; the time of day is at=")
    return start


def _times(at: object) -> tuple[time, ...]:
    given: Iterable[object] = (at,) if isinstance(at, str | time) else _listed(at)
    times = tuple(sorted({_time(one) for one in given}))
    if not times:
        raise ValueError("at has no time; write one such as at='09:00'")
    return times


def _listed(at: object) -> Iterable[object]:
    if not isinstance(at, Iterable):
        raise TypeError(f"at is a time such as '09:00', or several, got {at!r}")
    return cast("Iterable[object]", at)


def _time(value: object) -> time:
    if isinstance(value, time):
        if value.tzinfo is not None or value.microsecond:
            raise ValueError(f"at takes times without a zone and with whole seconds, got {value!r}; the zone is tz=")
        return value
    if not isinstance(value, str):
        raise TypeError(f"at is a time such as '09:00', or several, got {value!r}")
    found = _TIME.fullmatch(value)
    try:
        if found:
            hour, minute, second = map(int, found.groups(default="0"))
            return time(hour, minute, second)
    except ValueError:
        pass  # such as 25:00
    raise ValueError(f"at takes times from '00:00' to '23:59', or with seconds as in '09:00:30', got {value!r}")


def _weekdays(on: str | Iterable[str]) -> tuple[int, ...]:
    names = [str(name).upper() for name in ([on] if isinstance(on, str) else on)]
    unknown = sorted(set(names) - set(_NAMES))
    if unknown or not names:
        raise ValueError(f"on takes one or several of {', '.join(_NAMES)}, got {unknown[0] if unknown else 'none'}")
    return tuple(sorted({_NAMES.index(name) for name in names}))


def _ordinal(of_month: int) -> str:
    if of_month == 0:
        raise ValueError("of_month is 1 for the first business day, or -1 for the last one, got 0")
    if of_month == -1:
        return "the last"
    count = abs(of_month)
    place = ORDINALS[count - 1] if count <= len(ORDINALS) else f"{count}th"
    return f"the {place}{' last' if of_month < 0 else ''}"
