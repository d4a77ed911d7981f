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
        self._lock = Lock()
        self._croniters = [
            croniter(text, datetime.min, datetime, day_or=False, max_years_between_matches=_SEARCH_YEARS)
            for text in _for_croniter(fields)
        ]

    def next_after(self, wall: datetime) -> datetime | None:
        """Return the first matching whole minute strictly after `wall`."""
        # Whole minutes survive croniter's trip through float seconds in any year.
        minute = wall.replace(second=0, microsecond=0)
        with self._lock:
            found = [_next(stepping, minute) for stepping in self._croniters]
        return min((moment for moment in found if moment is not None), default=None)


def _next(stepping: croniter[datetime], minute: datetime) -> datetime | None:
    try:
        return stepping.get_next(datetime, start_time=minute)
    except (OverflowError, ValueError):
        if minute.year + _SEARCH_YEARS < MAXYEAR:
            raise
        return None


def _for_croniter(fields: CronFields) -> list[str]:
    """The expressions to ask croniter for the earliest of; in each, all fields must match."""
    time = f"{_list(fields.minutes, MINUTE)} {_list(fields.hours, HOUR)}"
    days, months, weekdays = _list(fields.days, DAY), _list(fields.months, MONTH), _list(fields.weekdays, WEEKDAY)
    if not fields.either_day:
        return [f"{time} {days} {months} {weekdays}"]
    if "*" in (days, weekdays):
        return [f"{time} * {months} *"]
    by_weekday = f"{time} * {months} {weekdays}"
    return [f"{time} {days} {months} *", by_weekday] if fields.has_day else [by_weekday]


def _list(values: tuple[int, ...], field: Field) -> str:
    return "*" if len(values) == field.size else ",".join(map(str, values))
