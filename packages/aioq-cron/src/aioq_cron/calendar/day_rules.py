"""Days that a month counts for itself: its last day, a nearest working day, an nth or a last weekday."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

__all__ = ["LAST_OF_ALL", "LONGEST_MONTHS", "ORDINALS", "RULE", "WEEKDAY_NAMES", "DayRule", "without_implied"]

LONGEST_MONTHS = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
"""Days of each month in a leap year, so that an expression for 29 February is accepted."""

WEEKDAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
ORDINALS = ("first", "second", "third", "fourth", "fifth")
LAST_OF_ALL = 32
"""The number of `LW`: beyond all days of a month."""

_TEXTS = {"last-day": "L-{0}", "workday": "{0}W", "last-weekday": "{0}L", "nth-weekday": "{0}#{1}"}
_WORDS = {
    "last-day": "the day {0} days before the last day",
    "workday": "the working day nearest to day {0}",
    "last-weekday": "the last {1}",
    "nth-weekday": "the {2} {1}",
}
_FEBRUARY = 2


class DayRule(NamedTuple):
    """One such day. Ordered as in canonical texts."""

    kind: Literal["last-day", "workday", "last-weekday", "nth-weekday"]
    number: int
    """Days before the last day, the day of the month, or the weekday; 0 is Sunday."""
    nth: int = 0

    @property
    def text(self) -> str:
        """The rule in canonical form: `L-3`, `15W`, `LW`, `5L` or `1#2`."""
        if self.kind == "last-day" and self.number == 0:
            return "L"
        return "LW" if self.number == LAST_OF_ALL else _TEXTS[self.kind].format(self.number, self.nth)

    @property
    def words(self) -> str:
        """The rule in words, without its month."""
        if self.kind == "last-day" and self.number == 0:
            return "the last day"
        if self.kind == "last-day" and self.number == 1:
            return "the day before the last day"
        if self.number == LAST_OF_ALL:
            return "the last working day"
        weekday, ordinal = WEEKDAY_NAMES[self.number % 7], ORDINALS[self.nth - 1]
        return _WORDS[self.kind].format(self.number, weekday, ordinal)

    def months(self, months: Iterable[int]) -> tuple[int, ...]:
        """Return those of `months` that have this day, in leap years at least."""
        if self.kind == "last-day":
            return tuple(month for month in months if LONGEST_MONTHS[month] > self.number)
        if self.kind == "workday" and self.number != LAST_OF_ALL:
            return tuple(month for month in months if LONGEST_MONTHS[month] >= self.number)
        return tuple(months)


def without_implied(values: set[int], rules: set[DayRule], months: Iterable[int]) -> tuple[set[int], set[DayRule]]:
    """Return the values and rules of a day field with the same meaning: without rules that values can express."""
    if len(values) == LONGEST_MONTHS[1]:
        return values, set()
    lengths = {0 if month == _FEBRUARY else LONGEST_MONTHS[month] for month in months}
    length = lengths.pop() if len(lengths) == 1 else 0
    fixed = {rule for rule in rules if rule.kind == "last-day" and rule.number < length}
    rules = {
        rule for rule in rules - fixed if not (rule.kind in ("last-weekday", "nth-weekday") and rule.number in values)
    }
    return values | {length - rule.number for rule in fixed}, rules


RULE = re.compile(
    r"(?P<last>L)(-(?P<before>\d+))?|(?P<workday>\d+|L)W|(?P<weekday>\d+|[A-Z]{3})(L|#(?P<nth>\d+))", re.IGNORECASE
)
"""One rule in the text of a day field."""
