"""Stepping through the calendar on naive wall time."""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, datetime, time, timedelta
from typing import Protocol

from aioq_cron.days import DayStepper
from aioq_cron.fields import CronFields

__all__ = ["CalendarStepper", "FieldStepper"]

_DAY = timedelta(days=1)


class CalendarStepper(Protocol):
    """Finds matching minutes on a clock that is never put forward or back."""

    def next_after(self, wall: datetime) -> datetime | None:
        """Return the first matching whole minute strictly after `wall`, both naive.

        None when the calendar ends before there is one.
        """
        ...


class FieldStepper:
    """Looks up the times of a day in the fields, and asks another for the days."""

    def __init__(self, fields: CronFields, days: DayStepper) -> None:
        self._minutes, self._hours, self._days = fields.minutes, fields.hours, days
        self._earliest = time(fields.hours[0], fields.minutes[0])

    def next_after(self, wall: datetime) -> datetime | None:
        """Return the first matching whole minute strictly after `wall`."""
        today = wall.date()
        day = self._days.first_from(today)
        if day == today:
            if later := self._later_that_day(wall.hour, wall.minute):
                return datetime.combine(today, later)
            day = None if today == date.max else self._days.first_from(today + _DAY)
        return None if day is None else datetime.combine(day, self._earliest)

    def _later_that_day(self, hour: int, minute: int) -> time | None:
        following = bisect_right(self._hours, hour)
        if following and self._hours[following - 1] == hour:
            place = bisect_right(self._minutes, minute)
            if place < len(self._minutes):
                return time(hour, self._minutes[place])
        return time(self._hours[following], self._minutes[0]) if following < len(self._hours) else None
