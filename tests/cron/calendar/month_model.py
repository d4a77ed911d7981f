"""A model of the days that an expression matches: it tries every day, and counts on the calendar of its month.

The model shares no code with the package. Fields are drawn together with what they mean.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from hypothesis import strategies as st

Matches = Callable[[date], bool]
NAMES = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


@dataclass(frozen=True)
class Item:
    """The text of a list item, and the days that it means."""

    text: str
    matches: Matches


def month_of(day: date) -> list[date]:
    """Return all days of the month of a day."""
    return _month(day.year, day.month)


@cache
def _month(year: int, month: int) -> list[date]:
    return [date(year, month, number) for number in range(1, calendar.monthrange(year, month)[1] + 1)]


def weekday(day: date) -> int:
    """Return the weekday as cron counts it; Sunday is 0."""
    return day.isoweekday() % 7


def is_last(before: int) -> Matches:
    """Return whether a day is this number of days before the last one of its month."""
    return lambda day: day in month_of(day)[::-1][before : before + 1]


def is_workday_near(number: int | None) -> Matches:
    """Return whether a day is the working day of its month that is nearest to a day, or to the last one if None."""

    def matches(day: date) -> bool:
        days = month_of(day)
        wanted = len(days) if number is None else number
        workdays = [one for one in days if one.weekday() < 5]
        # On Saturday Friday is nearer, on Sunday Monday: no distance is met twice, unless the month ends between.
        return wanted <= len(days) and day == min(workdays, key=lambda one: abs(one.day - wanted))

    return matches


def is_last_weekday(number: int) -> Matches:
    """Return whether a day is the last one of its month with a weekday."""
    return lambda day: day == [one for one in month_of(day) if weekday(one) == number][-1]


def is_nth_weekday(number: int, nth: int) -> Matches:
    """Return whether a day is the nth one of its month with a weekday."""
    return lambda day: day in [one for one in month_of(day) if weekday(one) == number][nth - 1 : nth]


def is_number(number: int) -> Matches:
    """Return whether a day has a number."""
    return lambda day: day.day == number


def is_weekday(number: int) -> Matches:
    """Return whether a day has a weekday."""
    return lambda day: weekday(day) == number


def _numbers(low: int, size: int, make: Callable[[int], Matches]) -> st.SearchStrategy[Item]:
    """Return a strategy for numbers, and for ranges that may go around the end of the field."""

    def ranged(first: int, count: int, step: int) -> Item:
        steps = range(first, first + count + 1, step)
        values = [(value - low) % size + low for value in steps]
        last = (first + count - low) % size + low
        text = f"{first}" if count == 0 else f"{first}-{last}" + (f"/{step}" if step > 1 else "")
        return Item(text, lambda day: any(make(value)(day) for value in values))

    number = st.integers(low, low + size - 1)
    return st.builds(ranged, number, st.just(0) | st.integers(1, size - 1), st.integers(1, 3))


DAY_ITEMS = st.one_of(
    _numbers(1, 31, is_number),
    st.integers(0, 30).map(lambda before: Item(f"L-{before}" if before else "L", is_last(before))),
    st.just(Item("l", is_last(0))),
    st.integers(1, 31).map(lambda number: Item(f"{number}W", is_workday_near(number))),
    st.just(Item("LW", is_workday_near(None))),
)
_SPELLED = st.integers(0, 7).flatmap(
    lambda number: st.sampled_from([(str(number), number % 7), (NAMES[number % 7], number % 7)])
)
WEEKDAY_ITEMS = st.one_of(
    _numbers(0, 7, is_weekday),
    _SPELLED.map(lambda one: Item(f"{one[0]}L", is_last_weekday(one[1]))),
    st.builds(lambda one, nth: Item(f"{one[0]}#{nth}", is_nth_weekday(one[1], nth)), _SPELLED, st.integers(1, 5)),
)
EVERY_DAY = st.sampled_from([Item("*", lambda day: True), Item("?", lambda day: True)])


def _listed(items: list[Item]) -> Item:
    return Item(",".join(item.text for item in items), lambda day: any(item.matches(day) for item in items))


def _starred(step: int, make: Callable[[int], Matches], values: range) -> Item:
    return Item(f"*/{step}", lambda day: any(make(value)(day) for value in values[::step]))


DAY_FIELDS = st.one_of(
    EVERY_DAY,
    st.lists(DAY_ITEMS, min_size=1, max_size=3).map(_listed),
    st.integers(2, 9).map(lambda step: _starred(step, is_number, range(1, 32))),
)
WEEKDAY_FIELDS = st.one_of(
    EVERY_DAY,
    st.lists(WEEKDAY_ITEMS, min_size=1, max_size=3).map(_listed),
    st.integers(2, 5).map(lambda step: _starred(step, is_weekday, range(7))),
)


@dataclass(frozen=True)
class DayFields:
    """The three fields of an expression that name days."""

    day: Item
    months: frozenset[int]
    weekday: Item

    @property
    def text(self) -> str:
        """Return an expression that fires at midnight of these days."""
        months = ",".join(map(str, sorted(self.months))) if len(self.months) < 12 else "*"
        return f"0 0 {self.day.text} {months} {self.weekday.text}"

    def matches(self, day: date) -> bool:
        """Return whether the expression matches a day."""
        if day.month not in self.months:
            return False
        fields = self.day.matches(day), self.weekday.matches(day)
        return all(fields) if {self.day.text[0], self.weekday.text[0]} & {"*", "?"} else any(fields)


MONTHS = st.just(frozenset(range(1, 13))) | st.frozensets(st.integers(1, 12), min_size=1, max_size=3)
DAYS = st.builds(DayFields, DAY_FIELDS, MONTHS, WEEKDAY_FIELDS)


def days_between(start: date, end: date) -> Iterator[date]:
    """Yield all days from `start` to before `end`."""
    return (start + timedelta(days=number) for number in range((end - start).days))
