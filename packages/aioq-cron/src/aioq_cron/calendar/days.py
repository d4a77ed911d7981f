"""Finds the days that match an expression.

Numbers, months and weekdays are computed here, with one bit for each day of a month. For last days, nearest working
days, and nth and last weekdays croniter does the search. It gets sorted lists of numbers and single rules only, because
its versions differ in how they read ranges, steps and time zones.
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterable, Iterator, Sequence
from datetime import MAXYEAR, date, datetime, time, timedelta
from functools import lru_cache
from threading import Lock
from typing import Protocol

from croniter import croniter

from aioq_cron.calendar.day_rules import LAST_OF_ALL, DayRule
from aioq_cron.calendar.fields import DAY, MONTH, WEEKDAY, CronFields

__all__ = ["SEARCH_YEARS", "CroniterDays", "DayStepper", "DaysInYears", "MonthDays", "count_days", "day_stepper"]

SEARCH_YEARS = 50
"""How far a search goes. A 29 February on a given weekday may be 40 years away, and nothing is further."""

_DAY = timedelta(days=1)
_WEEK = 7


class DayStepper(Protocol):
    """Finds matching days."""

    def first_from(self, day: date) -> date | None:
        """Return the first matching day that is not before `day`; None when the calendar ends first."""
        ...


def day_stepper(fields: CronFields) -> DayStepper | None:
    """Return a stepper through the days of an expression; None if every day matches. May be shared between threads."""
    days = _of_all_years(fields)
    return days if fields.years is None else DaysInYears(days, fields.years)


def _of_all_years(fields: CronFields) -> DayStepper | None:
    any_day, any_weekday = len(fields.days) == DAY.size, len(fields.weekdays) == WEEKDAY.size
    # Of two alternatives, one that matches every day leaves nothing to the other.
    if (any_day and any_weekday) or (fields.either_day and (any_day or any_weekday)):
        return None if len(fields.months) == MONTH.size else MonthDays(fields.months)
    if not fields.day_rules and not fields.weekday_rules:
        return _month_days(fields.months, fields.days, fields.weekdays, fields.either_day)
    by_day = () if any_day else tuple(_by_day(fields))
    by_weekday = () if any_weekday else tuple(_by_weekday(fields))
    if fields.either_day or not by_day or not by_weekday:
        return _Either(by_day + by_weekday)
    return _Both(_Either(by_day), _Either(by_weekday))


@lru_cache(maxsize=1_024)
def _month_days(months: tuple[int, ...], days: tuple[int, ...], weekdays: tuple[int, ...], either: bool) -> MonthDays:
    """Return the stepper of numbers alone. Shared, because thousands of expressions have few different days."""
    return MonthDays(months, days, weekdays, either=either)


def count_days(stepper: DayStepper | None, first: date, end: date) -> int:
    """Return the number of matching days from `first` on and before `end`; None matches every day."""
    if first >= end:
        return 0
    if stepper is None:
        return (end - first).days
    if isinstance(stepper, MonthDays):
        return stepper.count(first, end)
    count, day = 0, stepper.first_from(first)
    while day is not None and day < end:
        count += 1
        day = stepper.first_from(day + _DAY)
    return count


def _by_day(fields: CronFields) -> Iterator[DayStepper]:
    if fields.days or any(rule.kind == "last-day" and rule.number for rule in fields.day_rules):
        before_last = [rule.number for rule in fields.day_rules if rule.kind == "last-day" and rule.number]
        yield MonthDays(fields.months, fields.days, before_last=before_last)
    for rule in fields.day_rules:
        if rule.kind == "workday" and (months := rule.months(fields.months)):
            yield _NearestWorkday(rule.number, months)
        elif rule.kind == "last-day" and rule.number == 0:
            yield CroniterDays("L", _list(fields.months), "*")


def _by_weekday(fields: CronFields) -> Iterator[DayStepper]:
    if fields.weekdays:
        yield MonthDays(fields.months, range(DAY.low, DAY.high + 1), fields.weekdays)
    for rule in fields.weekday_rules:
        yield CroniterDays("*", _list(fields.months), _for_croniter(rule))


def _for_croniter(rule: DayRule) -> str:
    return f"L{rule.number}" if rule.kind == "last-weekday" else rule.text


def _list(months: Sequence[int]) -> str:
    return ",".join(map(str, months))


class MonthDays:
    """Finds days by their month, number and weekday."""

    __slots__ = ("_before_last", "_days", "_either", "_latest", "_months", "_weekdays")

    def __init__(
        self,
        months: Sequence[int],
        days: Iterable[int] = range(DAY.low, DAY.high + 1),
        weekdays: Iterable[int] = range(WEEKDAY.size),
        *,
        before_last: Iterable[int] = (),
        either: bool = False,
    ) -> None:
        self._months = frozenset(months)
        # The bit of day n is the nth.
        self._days = _bits(tuple(days))
        self._before_last = tuple(before_last)
        self._weekdays = _weekday_bits(tuple(weekdays))
        self._either = either
        self._latest = (0, 0, 0)

    def first_from(self, day: date) -> date | None:
        """Return the first matching day that is not before `day`."""
        year, month = day.year, day.month
        last_year = min(year + SEARCH_YEARS, MAXYEAR)
        latest = self._latest  # read once, because another thread may replace it
        if latest[0] != year or latest[1] != month:
            self._latest = latest = (year, month, self._in_month(year, month))
        matching = latest[2] >> day.day << day.day
        while not matching:
            month = month % 12 + 1
            year += month == 1
            if year > last_year:
                return None
            matching = self._in_month(year, month)
        return date(year, month, (matching & -matching).bit_length() - 1)

    def count(self, first: date, end: date) -> int:
        """Return the number of matching days from `first` on and before `end`."""
        months = range(first.year * 12 + first.month - 1, end.year * 12 + end.month)
        days = sum(self._in_month(month // 12, month % 12 + 1).bit_count() for month in months)
        before = self._in_month(first.year, first.month) & (1 << first.day) - 1
        after = self._in_month(end.year, end.month) >> end.day
        return days - before.bit_count() - after.bit_count()

    def _in_month(self, year: int, month: int) -> int:
        """Return the bits of the matching days of a month."""
        if month not in self._months:
            return 0
        first, length = monthrange(year, month)
        days, weekdays = self._days, self._weekdays[first]
        for before in self._before_last:
            if before < length:
                days |= 1 << (length - before)
        return (days | weekdays if self._either else days & weekdays) & (2 << length) - 2


@lru_cache(maxsize=1_024)
def _bits(days: tuple[int, ...]) -> int:
    return sum(1 << day for day in set(days))


@lru_cache(maxsize=128)
def _weekday_bits(weekdays: tuple[int, ...]) -> tuple[int, ...]:
    """Return the bits for each weekday of the first of a month, Monday first, as `monthrange` counts.

    Cached, as `_bits` is, because thousands of expressions have few different fields.
    """
    wanted = set(weekdays)
    return tuple(_bits(tuple(day for day in range(1, 32) if (first + day) % _WEEK in wanted)) for first in range(_WEEK))


class _Either:
    """Finds the days that one of several steppers finds."""

    def __init__(self, steppers: Sequence[DayStepper]) -> None:
        self._steppers = steppers

    def first_from(self, day: date) -> date | None:
        found = [stepper.first_from(day) for stepper in self._steppers]
        return min((day for day in found if day is not None), default=None)


class _Both:
    """Finds the days that two steppers find."""

    def __init__(self, one: DayStepper, other: DayStepper) -> None:
        self._one = one
        self._other = other

    def first_from(self, day: date) -> date | None:
        last_year = day.year + SEARCH_YEARS
        while (one := self._one.first_from(day)) is not None and one.year <= last_year:
            other = self._other.first_from(one)
            if other is None or other == one:
                return other
            day = other
        return None


class DaysInYears:
    """Finds the days of another stepper, or all days, that are in some years."""

    def __init__(self, days: DayStepper | None, years: Sequence[int]) -> None:
        self._days = days
        self.years = years

    def first_from(self, day: date) -> date | None:
        """Return the first matching day that is not before `day`."""
        for year in self.years[bisect_left(self.years, day.year) :]:
            day = max(day, date(year, 1, 1))
            found = day if self._days is None else self._days.first_from(day)
            if found is None or found.year == year:
                return found
            day = found
        return None


class CroniterDays:
    """Finds the days that match all three fields with croniter, and caches the latest answer."""

    def __init__(self, days: str, months: str, weekdays: str) -> None:
        self._lock = Lock()
        self._croniter = croniter(
            # Noon, because croniter searches strictly after its start: from midnight it then still finds the day
            # itself.
            f"0 12 {days} {months} {weekdays}",
            datetime.min,
            datetime,
            day_or=False,
            max_years_between_matches=SEARCH_YEARS,
        )
        self._latest: tuple[date, date] | None = None

    def first_from(self, day: date) -> date | None:
        """Return the first matching day that is not before `day`."""
        # All minutes of a day ask for the same day, and one call of croniter takes longer than the rest of a step.
        latest = self._latest  # read once, because another thread may replace it
        if latest is not None and latest[0] <= day <= latest[1]:
            return latest[1]
        found = self._search(day)
        if found is not None:
            self._latest = (day, found)
        return found

    def _search(self, day: date) -> date | None:
        try:
            # croniter keeps its position in itself: two threads must not step it at once.
            with self._lock:
                return self._croniter.get_next(datetime, start_time=datetime.combine(day, time.min)).date()
        except (OverflowError, ValueError):
            # Close to the year 9999 the search leaves the calendar. Before that an error is a defect, and must be seen.
            if day.year + SEARCH_YEARS < MAXYEAR:
                raise
            return None


class _NearestWorkday:
    """Finds the working day nearest to a day of the month, in the months that have that day."""

    def __init__(self, number: int, months: Sequence[int]) -> None:
        self._number = 0 if number == LAST_OF_ALL else number
        # For a day that a month does not have croniter takes its last day.
        self._days = CroniterDays(f"{min(number, DAY.high)}W", _list(months), "*")

    def first_from(self, day: date) -> date | None:
        found = self._days.first_from(day)
        while found is not None and monthrange(found.year, found.month)[1] < self._number:
            found = self._days.first_from(found + _DAY)
        return found
