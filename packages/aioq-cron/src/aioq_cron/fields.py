"""The five fields of a cron expression: the values that each accepts, and their parsed values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aioq_cron.day_rules import LONGEST_MONTHS, DayRule

__all__ = ["DAY", "FIELDS", "HOUR", "MINUTE", "MONTH", "WEEKDAY", "CronFields", "Field"]


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five fields: its name in messages, and the values that it accepts."""

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


MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY = Field("day-of-month", 1, 31)
MONTH = Field("month", 1, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"))
WEEKDAY = Field("day-of-week", 0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))
FIELDS = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)


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
    either_day: bool
    """Whether a date matches by its day or its weekday alone; otherwise both must match."""
    wildcard: bool
    """Whether the minute or the hour starts with `*`; then the expression follows the wall clock."""

    @property
    def has_day(self) -> bool:
        """Whether one of the days of the month exists in one of `months`, in leap years at least."""
        # The smallest day decides: if even the longest month lacks it, no month has any of them.
        longest = max(LONGEST_MONTHS[month] for month in self.months)
        return bool(self.days and self.days[0] <= longest) or any(rule.months(self.months) for rule in self.day_rules)

    @property
    def ever_matches(self) -> bool:
        """Whether any date matches, if both fields of the day have numbers only, or need not match together.

        Every day that exists falls on each weekday at some time: even 29 February does within
        40 years. So only the lengths of the months can rule out all dates.
        """
        return self.either_day or self.has_day

    @property
    def canonical(self) -> str:
        """The expression in the one form that all texts with this meaning share; it is an expression itself.

        Numbers instead of names, in ascending order, ranges for neighbours, and `*` for all values of a field. If the
        star of a step has an effect of its own, one field keeps it.
        """
        time = _texts(((MINUTE, self.minutes), (HOUR, self.hours)), starred=self.wildcard)
        every_day = len(self.days) == DAY.size or len(self.weekdays) == WEEKDAY.size
        if self.either_day and every_day:
            # One of the alternatives holds on each day, as if both fields were stars.
            days, weekdays = "*", "*"
        else:
            fields = ((DAY, self.days), (WEEKDAY, self.weekdays))
            days, weekdays = (
                _with_rules(text, rules)
                for text, rules in zip(
                    _texts(fields, starred=not self.either_day), (self.day_rules, self.weekday_rules), strict=True
                )
            )
        return " ".join((*time, days, _text(MONTH, self.months, starred=True), weekdays))


def _with_rules(text: str, rules: Sequence[DayRule]) -> str:
    return ",".join([*([text] if text else []), *(rule.text for rule in rules)])


def _texts(fields: Sequence[tuple[Field, tuple[int, ...]]], *, starred: bool) -> list[str]:
    """Return the texts of two fields, of which one begins with `*` if `starred`, and none otherwise."""
    texts = [_text(field, values, starred=starred) for field, values in fields]
    if starred and not any(text.startswith("*") for text in texts):
        # The star of a step always includes the lowest value, so one of the fields has that.
        at = next(n for n, (field, values) in enumerate(fields) if values[:1] == (field.low,))
        texts[at] = _with_star(*fields[at])
    return texts


def _text(field: Field, values: tuple[int, ...], *, starred: bool) -> str:
    if starred and len(values) == field.size:
        return "*"
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in _runs(values))


def _with_star(field: Field, values: tuple[int, ...]) -> str:
    for step in range(2, field.size + 1):
        if values == tuple(sorted({value % 7 if field is WEEKDAY else value for value in field.stepped(step)})):
            return f"*/{step}"
    # The longest step adds the lowest value alone, which is among the values anyway.
    return f"*/{field.size},{_text(field, values, starred=False)}"


def _runs(values: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield the first and last value of each run of neighbours."""
    if not values:
        return
    first = last = values[0]
    for value in values[1:]:
        if value != last + 1:
            yield first, last
            first = value
        last = value
    yield first, last
