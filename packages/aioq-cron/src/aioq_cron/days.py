"""Finds the days that match an expression.

croniter does the search. It gets sorted lists of numbers only, because its versions differ in how
they read ranges, steps and time zones. It is called once per matching day.
"""

from __future__ import annotations

from datetime import MAXYEAR, date, datetime, time
from threading import Lock
from typing import Protocol

from croniter import croniter

from aioq_cron.fields import DAY, MONTH, WEEKDAY, CronFields, Field

__all__ = ["SEARCH_YEARS", "CroniterDays", "DayStepper", "day_stepper"]

# A 29 February on a given weekday may be 40 years away.
SEARCH_YEARS = 50


class DayStepper(Protocol):
    """Finds matching days."""

    def first_from(self, day: date) -> date | None:
        """Return the first matching day that is not before `day`; None when the calendar ends first."""
        ...


def day_stepper(fields: CronFields) -> DayStepper | None:
    """Return a stepper through the days of an expression; None if every day matches. May be shared between threads."""
    days, months, weekdays = _list(fields.days, DAY), _list(fields.months, MONTH), _list(fields.weekdays, WEEKDAY)
    if not fields.either_day:
        return _all_of(days, months, weekdays)
    # Of two alternatives, one that matches every day leaves nothing to the other.
    if "*" in (days, weekdays):
        return _all_of("*", months, "*")
    # A day that no month has is left out: croniter would search for it in vain, while the weekdays still match.
    by_weekday = CroniterDays("*", months, weekdays)
    return _Either(CroniterDays(days, months, "*"), by_weekday) if fields.has_day else by_weekday


def _all_of(days: str, months: str, weekdays: str) -> DayStepper | None:
    return None if days == months == weekdays == "*" else CroniterDays(days, months, weekdays)


def _list(values: tuple[int, ...], field: Field) -> str:
    return "*" if len(values) == field.size else ",".join(map(str, values))


class _Either:
    def __init__(self, *steppers: DayStepper) -> None:
        self._steppers = steppers

    def first_from(self, day: date) -> date | None:
        found = [stepper.first_from(day) for stepper in self._steppers]
        return min((day for day in found if day is not None), default=None)


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
