"""Stepping through the calendar on naive wall time, and croniter as the one who does it.

croniter is handed sorted lists of numbers and nothing else, since versions differ in how they
read ranges, steps and time zones.
"""

from __future__ import annotations

from datetime import MAXYEAR, datetime
from threading import Lock
from typing import Protocol

from croniter import croniter

from aioq_cron.fields import DAY, HOUR, MINUTE, MONTH, WEEKDAY, CronFields, Field

__all__ = ["CalendarStepper", "CroniterStepper"]

# A 29 February on a given weekday may be 40 years away.
_SEARCH_YEARS = 50


class CalendarStepper(Protocol):
    """Finds matching minutes on a clock that is never put forward or back."""

    def next_after(self, wall: datetime) -> datetime | None:
        """Return the first matching whole minute strictly after `wall`, both naive.

        None when the calendar ends before there is one.
        """
        ...


class CroniterStepper:
    """A stepper that asks croniter. May be shared between threads."""

    def __init__(self, fields: CronFields) -> None:
        text, either_day = _for_croniter(fields)
        self._lock = Lock()
        self._croniter = croniter(
            text, datetime.min, datetime, day_or=either_day, max_years_between_matches=_SEARCH_YEARS
        )

    def next_after(self, wall: datetime) -> datetime | None:
        """Return the first matching whole minute strictly after `wall`."""
        # Whole minutes survive croniter's trip through float seconds in any year.
        minute = wall.replace(second=0, microsecond=0)
        try:
            with self._lock:
                return self._croniter.get_next(datetime, start_time=minute)
        except (OverflowError, ValueError):
            if wall.year + _SEARCH_YEARS < MAXYEAR:
                raise
            return None


def _for_croniter(fields: CronFields) -> tuple[str, bool]:
    """The expression for croniter, and whether either of its day fields will do."""
    days, weekdays = _list(fields.days, DAY), _list(fields.weekdays, WEEKDAY)
    either_day = fields.either_day
    if either_day and not fields.has_day:
        days, either_day = "*", False
    elif either_day and "*" in (days, weekdays):
        days, weekdays, either_day = "*", "*", False
    minutes, hours, months = _list(fields.minutes, MINUTE), _list(fields.hours, HOUR), _list(fields.months, MONTH)
    return f"{minutes} {hours} {days} {months} {weekdays}", either_day


def _list(values: tuple[int, ...], field: Field) -> str:
    return "*" if len(values) == field.size else ",".join(map(str, values))
