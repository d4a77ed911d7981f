"""Finds the days of calendar intervals, such as every second week or business days, and times of these days."""

from __future__ import annotations

from bisect import bisect_right
from calendar import monthrange
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime, time, timedelta

from aioq_cron.calendar.days import DayStepper

__all__ = ["BusinessMonthDays", "DayInterval", "MonthInterval", "WallTimes", "WeekInterval", "Workdays"]

_DAY = timedelta(days=1)
_WEEK = 7
_SATURDAY = 5
_MOST_HOLIDAYS = 10_000
"""Days in a row that are no business day after which the search ends."""
_MOST_MONTHS = 600
"""Months in a row without the wanted business day after which the search ends."""


@dataclass(frozen=True, slots=True)
class DayInterval:
    """Every n-th day from a first one."""

    days: int
    start: date

    def first_from(self, day: date) -> date | None:
        """Return the first such day that is not before `day`; None when the calendar ends first."""
        ordinal = self.start.toordinal()
        if day > self.start:
            ordinal += -((ordinal - day.toordinal()) // self.days) * self.days
        return date.fromordinal(ordinal) if ordinal <= date.max.toordinal() else None


@dataclass(frozen=True, slots=True)
class WeekInterval:
    """Weekdays of every n-th week, which begins on Monday; none before the first day."""

    weeks: int
    start: date
    weekdays: tuple[int, ...]
    """Ascending; Monday is 0."""

    def first_from(self, day: date) -> date | None:
        """Return the first such day that is not before `day`; None when the calendar ends first."""
        day = max(day, self.start)
        first_monday = self.start.toordinal() - self.start.weekday()
        week = (day.toordinal() - first_monday) // _WEEK
        # If all weekdays of this turn are before `day`, the next turn has one: its week is wholly after `day`.
        begun = -(-week // self.weeks) * self.weeks
        for turn in (begun, begun + self.weeks):
            for weekday in self.weekdays:
                found = first_monday + turn * _WEEK + weekday
                if found >= day.toordinal():
                    return date.fromordinal(found) if found <= date.max.toordinal() else None
        return None


@dataclass(frozen=True, slots=True)
class MonthInterval:
    """One day of every n-th month: the day of the month that the first one has, or else the last of the month."""

    months: int
    start: date

    def first_from(self, day: date) -> date | None:
        """Return the first such day that is not before `day`; None when the calendar ends first."""
        day = max(day, self.start)
        passed = (day.year - self.start.year) * 12 + day.month - self.start.month
        begun = -(-passed // self.months) * self.months
        for turn in (begun, begun + self.months):
            years, month = divmod(self.start.month - 1 + turn, 12)
            year = self.start.year + years
            if year > MAXYEAR:
                return None
            found = date(year, month + 1, min(self.start.day, monthrange(year, month + 1)[1]))
            if found >= day:
                return found
        return None


@dataclass(frozen=True, slots=True)
class Workdays:
    """Monday to Friday, except holidays."""

    holidays: Container[date]

    def first_from(self, day: date) -> date | None:
        """Return the first such day that is not before `day`; None if 10,000 days in a row are none."""
        for _ in range(min(_MOST_HOLIDAYS, (date.max - day).days + 1)):
            if self.has(day):
                return day
            if day < date.max:
                day += _DAY
        return None

    def has(self, day: date) -> bool:
        """Return whether a day is a business day."""
        return day.weekday() < _SATURDAY and day not in self.holidays


@dataclass(frozen=True, slots=True)
class BusinessMonthDays:
    """The nth business day of each month, or the nth from its end."""

    holidays: Container[date]
    nth: int
    """Counts from the end of the month if it is negative."""

    def first_from(self, day: date) -> date | None:
        """Return the first such day that is not before `day`; None if 600 months in a row have none."""
        year, month = day.year, day.month
        for _ in range(_MOST_MONTHS):
            found = self._in_month(year, month)
            if found is not None and found >= day:
                return found
            month = month % 12 + 1
            year += month == 1
            if year > MAXYEAR:
                return None
        return None

    def _in_month(self, year: int, month: int) -> date | None:
        days = [*self._business_days(year, month)]
        if len(days) < abs(self.nth):
            return None
        return days[self.nth - 1 if self.nth > 0 else self.nth]

    def _business_days(self, year: int, month: int) -> Iterator[date]:
        workdays = Workdays(self.holidays)
        for number in range(1, monthrange(year, month)[1] + 1):
            if workdays.has(day := date(year, month, number)):
                yield day


@dataclass(frozen=True, slots=True)
class WallTimes:
    """Times of each day that a stepper finds."""

    days: DayStepper
    times: tuple[time, ...]
    """Ascending."""

    def next_after(self, wall: datetime) -> datetime | None:
        """Return the first such moment strictly after `wall`, both naive; None when the calendar ends first."""
        today = wall.date()
        day = self.days.first_from(today)
        if day == today:
            later = bisect_right(self.times, wall.time())
            if later < len(self.times):
                return datetime.combine(today, self.times[later])
            day = None if today == date.max else self.days.first_from(today + _DAY)
        return None if day is None else datetime.combine(day, self.times[0])
