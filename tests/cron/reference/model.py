"""A reference model of expressions: it tries every second of a day, and every day.

The model shares no code with the package, and has no parser: each expression is drawn together with what it means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any

from tests.cron.calendar.month_model import Matches

__all__ = ["Case"]

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Case:
    """An expression of a dialect, and the wall times that it means.

    `years` is empty if the expression has no year, or any.
    """

    text: str
    options: Mapping[str, Any]
    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    months: frozenset[int]
    years: frozenset[int]
    day: Matches
    wildcard: bool

    def matches(self, wall: datetime) -> bool:
        """Return whether the expression means a wall time."""
        return self._matches_clock(wall.hour, wall.minute, wall.second) and self.matches_day(wall.date())

    def matches_day(self, day: date) -> bool:
        """Return whether the expression means some time of a day."""
        return day.month in self.months and (not self.years or day.year in self.years) and self.day(day)

    def _matches_clock(self, hour: int, minute: int, second: int) -> bool:
        return hour in self.hours and minute in self.minutes and second in self.seconds

    @cached_property
    def times(self) -> list[time]:
        """Return the times of a day."""
        return [
            time(hour, minute, second)
            for hour in range(24)
            for minute in range(60)
            for second in (range(60) if self.seconds != {0} else [0])
            if self._matches_clock(hour, minute, second)
        ]

    def after(self, wall: datetime, years: int = 45) -> Iterator[datetime]:
        """Yield the wall times after one, for some years."""
        day, end = wall.date(), wall.year + years
        while day.year < end:
            if self.matches_day(day):
                yield from (tick for one in self.times if (tick := datetime.combine(day, one)) > wall)
            day += DAY

    def before(self, wall: datetime, years: int = 45) -> datetime | None:
        """Return the last wall time before one, within some years."""
        day, end = wall.date(), wall.year - years
        while day.year > end:
            if self.matches_day(day):
                for one in reversed(self.times):
                    if (tick := datetime.combine(day, one)) < wall:
                        return tick
            day -= DAY
        return None
