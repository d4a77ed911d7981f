"""Parses one field of an expression into its values and rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aioq_cron.calendar.day_rules import LAST_OF_ALL, LONGEST_MONTHS, RULE, DayRule, without_implied
from aioq_cron.calendar.fields import DAY, WEEKDAY, YEAR, Field
from aioq_cron.expression import messages
from aioq_cron.expression.dialects import Dialect
from aioq_cron.expression.hashed import HASHED, hashed_values, range_of_hash

__all__ = ["ITEM", "FieldParser"]

ITEM = re.compile(r"(?P<first>\*|[0-9]+|[A-Za-z]+)(-(?P<last>[0-9]+|[A-Za-z]+))?(/(?P<step>[0-9]+))?")
"""A value, a range or a step."""

_CRONITER_ORDER = re.compile(r"(?P<sign>[LW])(?P<number>\d+)", re.IGNORECASE)

_MAX_KEPT = 4_096
_VALUES: dict[tuple[str, str, str], tuple[int, ...]] = {}
_DAYS: dict[tuple[str, str, str], tuple[int, ...]] = {}
"""What fields without rules mean, by dialect, field and text: thousands of expressions have few different fields."""


def _keep(
    known: dict[tuple[str, str, str], tuple[int, ...]], key: tuple[str, str, str], values: tuple[int, ...]
) -> None:
    if len(known) >= _MAX_KEPT:
        known.clear()
    known[key] = values


@dataclass(frozen=True, slots=True)
class FieldParser:
    """Parses the fields of one expression."""

    dialect: Dialect
    text: str
    """The expression, for messages."""
    name: str
    """What the values of `H` are chosen by."""

    def values(self, field: Field, part: str) -> tuple[int, ...]:
        """Return the numbers of a field, sorted."""
        key = (self.dialect.name, field.name, part)
        if (known := _VALUES.get(key)) is not None:
            return known
        items = part.split(",")
        found = tuple(sorted({value for item in items for value in self._item(field, item, alone=len(items) == 1)}))
        if not self._may_be_hashed(part):
            _keep(_VALUES, key, found)
        return found

    def days(self, field: Field, part: str, months: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[DayRule, ...]]:
        """Return the numbers of a field of the day, with 0 for Sunday, and its rules."""
        key = (self.dialect.name, field.name, part)
        if (known := _DAYS.get(key)) is not None:
            return known, ()
        numbers, rules = self._days(field, part, months)
        # The days of a rule depend on the months, too, also if these turn it into numbers.
        ruled = rules or any(self.dialect.rule.fullmatch(item) for item in part.split(","))
        if not ruled and not self._may_be_hashed(part):
            _keep(_DAYS, key, numbers)
        return numbers, rules

    def _may_be_hashed(self, part: str) -> bool:
        """Return whether a field may have an `H`, whose value depends on the name, too."""
        return self.dialect.hashes and "H" in part.upper()

    def _days(self, field: Field, part: str, months: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[DayRule, ...]]:
        rules, plain = set[DayRule](), list[str]()
        items = part.split(",")
        for item in items:
            if rule := self._rule(field, item):
                rules.add(rule)
            else:
                plain.append(item)
        if rules and len(items) > 1 and self.dialect.lone_rules:
            raise messages.not_alone(field, items, self.text, self.dialect.name)
        numbers = set(self.values(field, ",".join(plain))) if plain else set[int]()
        if field.name == WEEKDAY.name:
            # Both 0 and 7 are Sunday, or 1 is.
            numbers = {(number - field.low) % 7 for number in numbers}
        numbers, rules = without_implied(numbers, rules, months) if rules else (numbers, rules)
        return tuple(sorted(numbers)), tuple(sorted(rules))

    def _rule(self, field: Field, item: str) -> DayRule | None:
        """Return what a rule such as `L`, `15W` or `MON#2` stands for; None if the item is no rule of this field."""
        if not self.dialect.rule.fullmatch(item):
            return None
        match = RULE.fullmatch(_CRONITER_ORDER.sub(r"\g<number>\g<sign>", item))
        if match is None or (match["weekday"] is None) is (field.name == WEEKDAY.name):
            return None
        if match["last"]:
            return DayRule("last-day", self._within(field, match["before"] or "0", (0, 30)))
        if workday := match["workday"]:
            return DayRule("workday", LAST_OF_ALL if workday in "Ll" else self._workday(field, workday, item))
        weekday = (self._value(field, match["weekday"], item) - field.low) % 7
        if match["nth"] is None:
            return DayRule("last-weekday", weekday)
        return DayRule("nth-weekday", weekday, self._within(field, match["nth"], (1, 5)))

    def _workday(self, field: Field, text: str, item: str) -> int:
        number = self._value(field, text, item)
        if not self.dialect.slips or number < min(LONGEST_MONTHS.values()):
            return number
        if number == max(LONGEST_MONTHS.values()):
            return LAST_OF_ALL
        raise messages.slip(
            field, item, self.text, ("as the last working day in a shorter month", "31W for the last working day")
        )

    def _item(self, field: Field, item: str, *, alone: bool) -> Iterable[int]:
        if self.dialect.hashes and (hashed := HASHED.fullmatch(item)):
            return self._hashed(field, hashed)
        if self.dialect.bare_steps and item.startswith("/"):
            item = f"*{item}"
        if item in ("L", "l") and field.name == WEEKDAY.name and self.dialect.last_weekday is not None:
            return (self.dialect.last_weekday,)
        match = ITEM.fullmatch(item)
        if match is None or (match["first"] == "*" and match["last"] is not None):
            raise messages.bad_item(field, item, self.text, self.dialect)
        low, high = self._bounds(field, match)
        step = 1 if match["step"] is None else int(match["step"])
        # "*/100,1-7 * MON" is how cron says "first Monday": the item is there for its star.
        idiom = field is DAY and match["first"] == "*" and not alone
        if step == 0 or (step > field.size and not idiom):
            raise messages.bad_step(field, match["step"], low, self.text)
        if low <= high:
            return range(low, high + 1, step)
        return self._around(field, match, (low, high), step)

    def _around(self, field: Field, item: re.Match[str], bounds: tuple[int, int], step: int) -> Iterable[int]:
        """Return the values of a range that goes around the end of its field: 22-2 is 22, 23, 0, 1 and 2.

        The day of month counts 31 days in every month.
        """
        low, high = bounds
        if not self.dialect.wraps or field.name == YEAR.name:
            raise messages.backwards(field, item, self.text)
        if step > 1 and self.dialect.slips:
            raise messages.slip(field, item[0], self.text, ("one too far after the end of the field", "the values"))
        around = range(low, low + (high - low) % field.size + 1, step)
        return ((value - field.low) % field.size + field.low for value in around)

    def _hashed(self, field: Field, item: re.Match[str]) -> Iterable[int]:
        if field.name == YEAR.name:
            raise messages.bad_item(field, item[0], self.text, self.dialect)
        low, high = range_of_hash(field)
        if item["low"] is not None:
            low, high = (self._within(field, item[end], (field.low, field.high)) for end in ("low", "high"))
            if low > high:
                raise messages.bad_hash(field, item[0], self.text, "runs backwards")
        step = None if item["step"] is None else int(item["step"])
        if step is not None and not 1 <= step <= high - low + 1:
            raise messages.bad_hash(field, item[0], self.text, f"has a step outside 1-{high - low + 1}")
        return hashed_values(self.name, field, (low, high), step)

    def _bounds(self, field: Field, item: re.Match[str]) -> tuple[int, int]:
        first, last = item["first"], item["last"]
        if first == "*":
            own = self.dialect.star_weekdays if field is WEEKDAY else None
            return own or (field.low, field.high)
        low = self._value(field, first, item[0])
        if last is None and item["step"] is None:
            return low, low
        if last is None:
            # `5/15` means `5-59/15`.
            if not self.dialect.open_steps:
                raise messages.open_step(field, item[0], self.text, self.dialect.name)
            return (low % 7, 6) if field is WEEKDAY and self.dialect.slips else (low, field.high)
        high = self._value(field, last, item[0])
        if low == high and self.dialect.slips:
            raise messages.slip(field, item[0], self.text, ("as all values", f"* or {low} alone"))
        return self._of_week(low, high, last) if field is WEEKDAY else (low, high)

    def _of_week(self, low: int, high: int, last: str) -> tuple[int, int]:
        """Return the bounds of a range of weekdays; it may begin or end with Sunday."""
        if last.upper() == "SUN" and low > 0:
            return low, 7
        # Spring reads 7-2 as Sunday to Tuesday, though it has no other range around the end.
        return (0, high) if low == 7 and high < low and not self.dialect.wraps else (low, high)

    def _value(self, field: Field, text: str, item: str) -> int:
        if not text.isdigit() and not (self.dialect.names and text.upper() in field.names):
            raise messages.bad_word(field, text, item, self.text, self.dialect)
        return self._within(field, str(field.number(text)), (field.low, field.high))

    def _within(self, field: Field, text: str, bounds: tuple[int, int]) -> int:
        if not bounds[0] <= int(text) <= bounds[1]:
            raise messages.outside(field, text, self.text, bounds)
        return int(text)
