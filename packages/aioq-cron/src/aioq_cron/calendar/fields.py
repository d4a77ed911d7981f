"""The fields of a cron expression: the values that each accepts, and their parsed values."""

from __future__ import annotations

from dataclasses import dataclass

from aioq_cron.calendar.day_rules import LONGEST_MONTHS, DayRule

__all__ = [
    "DAY",
    "EACH_MINUTE",
    "HOUR",
    "MINUTE",
    "MONTH",
    "SECOND",
    "WEEKDAY",
    "WEEKDAY_FROM_1",
    "YEAR",
    "YEAR_TO_2099",
    "CronFields",
    "Field",
]


@dataclass(frozen=True, slots=True)
class Field:
    """One of the fields: its name in messages, and the values that it accepts."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    """Words for the values from `low` on, in upper case."""

    @property
    def size(self) -> int:
        """The number of different values: 7 for the day of week, because 0 and 7 are both Sunday."""
        return 7 if self.names and self.low == 0 else self.high - self.low + 1

    def stepped(self, step: int) -> range:
        """Return the values of `*/step`."""
        return range(self.low, self.high + 1, step)

    def number(self, text: str) -> int:
        """Return the number that digits or one of the names stand for. Does not check the bounds.

        Raises:
            ValueError: The text is neither.
        """
        return int(text) if text.isdigit() else self.low + self.names.index(text.upper())


SECOND = Field("second", 0, 59)
MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY = Field("day-of-month", 1, 31)
MONTH = Field("month", 1, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"))
WEEKDAY = Field("day-of-week", 0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))
WEEKDAY_FROM_1 = Field(WEEKDAY.name, 1, 7, WEEKDAY.names)
YEAR = Field("year", 1970, 2199)
YEAR_TO_2099 = Field("year", 1970, 2099)

EACH_MINUTE = (0,)
"""The seconds of an expression without a field for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronFields:
    """The meaning of an expression: the sorted values of its fields, and how they combine."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    """Empty if the field has rules only."""
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    """0 is Sunday; there is no 7. Empty if the field has rules only."""
    day_rules: tuple[DayRule, ...] = ()
    weekday_rules: tuple[DayRule, ...] = ()
    seconds: tuple[int, ...] = EACH_MINUTE
    years: tuple[int, ...] | None = None
    """None for all years."""
    either_day: bool
    """Whether a date matches by its day or its weekday alone; otherwise both must match."""
    wildcard: bool
    """Whether the minute or the hour starts with `*`; then the expression follows the wall clock."""

    @property
    def has_day(self) -> bool:
        """Whether one of the days of the month exists in one of `months`, in leap years at least."""
        # The smallest day decides: a month that lacks it has none of the others.
        if self.days and any(self.days[0] <= LONGEST_MONTHS[month] for month in self.months):
            return True
        return any(rule.months(self.months) for rule in self.day_rules)

    @property
    def ever_matches(self) -> bool:
        """Whether any date matches, if both fields of the day have numbers only, or need not match together.

        Every day that exists falls on each weekday at some time: even 29 February does within
        40 years. So only the lengths of the months can rule out all dates.
        """
        return self.either_day or self.has_day
