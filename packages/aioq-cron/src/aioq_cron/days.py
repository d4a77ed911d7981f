"""Finding the days that an expression names, and croniter as the one who does it.

croniter is handed sorted lists of numbers and nothing else, since versions differ in how they
read ranges, steps and time zones; and it is asked once per matching day.
"""

from __future__ import annotations

from datetime import MAXYEAR, date, datetime, time
from threading import Lock
from typing import Protocol

from croniter import croniter

from aioq_cron.fields import DAY, MONTH, WEEKDAY, CronFields, Field

__all__ = ["DayStepper", "day_stepper"]

# A 29 February on a given weekday may be 40 years away.
_SEARCH_YEARS = 50


class DayStepper(Protocol):
    """Finds matching days."""

    def first_from(self, day: date) -> date | None:
        """Return the first matching day that is not before `day`; None when the calendar ends first."""
        ...


def day_stepper(fields: CronFields) -> DayStepper:
    """Return a stepper through the days of an expression. May be shared between threads."""
    days, months, weekdays = _list(fields.days, DAY), _list(fields.months, MONTH), _list(fields.weekdays, WEEKDAY)
    if not fields.either_day:
        return _all_of(days, months, weekdays)
    if "*" in (days, weekdays):
        return _all_of("*", months, "*")
    by_weekday = CroniterDays("*", months, weekdays)
    return _Either(CroniterDays(days, months, "*"), by_weekday) if fields.has_day else by_weekday


def _all_of(days: str, months: str, weekdays: str) -> DayStepper:
    return _EveryDay() if days == months == weekdays == "*" else CroniterDays(days, months, weekdays)


def _list(values: tuple[int, ...], field: Field) -> str:
    return "*" if len(values) == field.size else ",".join(map(str, values))


class _EveryDay:
    def first_from(self, day: date) -> date:
        return day


class _Either:
    def __init__(self, *steppers: DayStepper) -> None:
        self._steppers = steppers

    def first_from(self, day: date) -> date | None:
        found = [stepper.first_from(day) for stepper in self._steppers]
        return min((day for day in found if day is not None), default=None)


class CroniterDays:
    """Asks croniter for the days that match all three fields, and remembers the latest answer."""

    def __init__(self, days: str, months: str, weekdays: str) -> None:
        self._lock = Lock()
        self._croniter = croniter(
            f"0 12 {days} {months} {weekdays}",
            datetime.min,
            datetime,
            day_or=False,
            max_years_between_matches=_SEARCH_YEARS,
        )
        self._latest: tuple[date, date] | None = None

    def first_from(self, day: date) -> date | None:
        """Return the first matching day that is not before `day`."""
        latest = self._latest  # read once: another thread may replace it
        if latest is not None and latest[0] <= day <= latest[1]:
            return latest[1]
        found = self._ask(day)
        if found is not None:
            self._latest = (day, found)
        return found

    def _ask(self, day: date) -> date | None:
        try:
            with self._lock:
                return self._croniter.get_next(datetime, start_time=datetime.combine(day, time.min)).date()
        except (OverflowError, ValueError):
            if day.year + _SEARCH_YEARS < MAXYEAR:
                raise
            return None
