"""The dialects as their documentation states them, and a generator of their expressions with what each of them means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from tests.cron.calendar.month_model import (
    Item,
    Matches,
    is_last,
    is_last_weekday,
    is_nth_weekday,
    is_number,
    is_weekday,
    is_workday_near,
)
from tests.cron.reference.model import Case

__all__ = ["DIALECTS", "Dialect"]

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True)
class Values:
    """The text of a field, and its values."""

    text: str
    values: frozenset[int]

    @property
    def starred(self) -> bool:
        """Return whether the text starts with a star."""
        return self.text[0] == "*"


@dataclass(frozen=True)
class Dialect:
    """What the documentation of a system says about its expressions.

    - `fields`: the order of the fields; a `?` behind a name marks fields at the end that can be left out
    - `sunday`: the number of Sunday, which is also the first weekday
    - `first_of_star`: the first weekday of `*/2`
    - `both`: the rule for two restricted day fields: `starred` is cron's own, `either` and `both` are fixed,
      and `question` demands that exactly one of the fields is `?`
    - `wraps`: whether a range can go around the end of its field, and with steps
    - `day_rules`, `weekday_rules`: the forms of an item, with `{n}` for a day, `{d}` for a weekday, `{k}` for a count
    - `lists`: whether such forms can stand in a list; `mixes_rules`: whether the other day field can be restricted, too
    - `same_ends`: whether a range can end where it starts
    - `steps`: the forms of an item with steps; `weekday_steps`: whether a weekday has them
    """

    options: Mapping[str, Any]
    fields: str
    sunday: int = 0
    last_weekday: int = 7
    first_of_star: int = 0
    both: Literal["starred", "either", "both", "question"] = "starred"
    wraps: Literal["not", "plain", "stepped"] = "stepped"
    names: bool = True
    question: bool = True
    lists: bool = True
    mixes_rules: bool = True
    same_ends: bool = True
    day_rules: tuple[str, ...] = ("L", "L-{k}", "{n}W", "LW")
    weekday_rules: tuple[str, ...] = ("{d}L", "{d}#{k}")
    steps: tuple[str, ...] = ("*", "N", "N-M")
    weekday_steps: bool = True
    years: range = field(default=range(1970, 2200))

    def draw(self, random: Random) -> Case:
        """Draw an expression, with what it means."""
        numbers = {
            "second": self._numbers(random, range(60)),
            "minute": self._numbers(random, range(60)),
            "hour": self._numbers(random, range(24)),
            "month": self._numbers(random, range(1, 13), MONTHS if self.names else ()),
            "year": self._years(random),
        }
        day, weekday, matches = self._days(random)
        order = self._fields(random)
        texts = {name: one.text for name, one in numbers.items()} | {"day": day, "weekday": weekday}
        return Case(
            " ".join(texts[name] for name in order),
            self.options,
            numbers["second"].values if "second" in order else frozenset({0}),
            numbers["minute"].values,
            numbers["hour"].values,
            numbers["month"].values,
            numbers["year"].values if "year" in order else frozenset(),
            matches,
            numbers["minute"].starred or numbers["hour"].starred,
        )

    def _fields(self, random: Random) -> list[str]:
        """Return the fields of an expression, without some of those that can be left out."""
        names = self.fields.split()
        least = sum(not name.endswith("?") for name in names)
        return [name.removesuffix("?") for name in names[: random.randint(least, len(names))]]

    def _numbers(self, random: Random, valid: range, names: tuple[str, ...] = ()) -> Values:
        """Draw a field of numbers."""
        if random.random() < 0.3:
            return Values("*", frozenset(valid))
        items = [self._item(random, valid, names) for _ in range(random.choice([1, 1, 1, 2, 3]))]
        return Values(",".join(item.text for item in items), frozenset[int]().union(*(item.values for item in items)))

    def _item(self, random: Random, valid: range, names: tuple[str, ...] = ()) -> Values:
        """Draw one item of a list: a number, a range, or steps."""
        low, high, step = valid[0], valid[-1], random.randint(2, max(2, len(valid) // 2))

        def spelled(number: int) -> str:
            return random.choice([str(number), *names[number - low : number - low + 1]])

        first, last = random.choice(valid), random.choice(valid)
        if first > last and self.wraps == "not":
            first, last = last, first
        if first == last and not self.same_ends:
            return self._item(random, valid, names)
        numbers = list(range(first, last + 1)) if first <= last else [*range(first, high + 1), *range(low, last + 1)]
        span = f"{spelled(first)}-{spelled(last)}"
        stepped = {
            "*": Values(f"*/{step}", frozenset(range(low, high + 1, step))),
            "N": Values(f"{first}/{step}", frozenset(range(first, high + 1, step))),
            "N-M": Values(f"{span}/{step}", frozenset(numbers[::step])),
        }
        if first > last and self.wraps == "plain":
            stepped["N-M"] = stepped["N"]
        plain = [Values(spelled(first), frozenset({first})), Values(span, frozenset(numbers))]
        return random.choice([*plain, *(stepped[form] for form in self.steps)])

    def _years(self, random: Random) -> Values:
        """Draw a field of years."""
        first, last, step = random.randint(2020, 2040), self.years[-1], random.randint(2, 9)
        return random.choice(
            [
                Values("*", frozenset()),
                Values(str(first), frozenset({first})),
                Values(f"{first}-{first + step}", frozenset(range(first, first + step + 1))),
                Values(f"{first}/{step}", frozenset(range(first, last + 1, step))),
                Values(f"{first},{first + step}", frozenset({first, first + step})),
            ]
        )

    def _days(self, random: Random) -> tuple[str, str, Matches]:
        """Draw both day fields, and the days on which they agree."""
        day, weekday = self._day(random), self._weekday(random)
        any_day = Item(random.choice("*?") if self.question else "*", lambda day: True)
        if self.both == "question":
            none = Item("?", lambda day: True)
            day, weekday = random.choice([(day, none), (none, weekday), (Item("*", none.matches), none)])
        else:
            pairs = [(day, any_day), (any_day, weekday), (any_day, any_day)]
            if self.mixes_rules or not {*"LW#"} & {*day.text, *weekday.text}:
                pairs.append((day, weekday))
            day, weekday = random.choice(pairs)
        if self._alternatives(day.text, weekday.text):
            return day.text, weekday.text, lambda one: day.matches(one) or weekday.matches(one)
        return day.text, weekday.text, lambda one: day.matches(one) and weekday.matches(one)

    def _alternatives(self, day: str, weekday: str) -> bool:
        """Return whether one of two day fields is enough."""
        if self.both == "starred":
            return not {day[0], weekday[0]} & set("*?")
        return self.both == "either" and not {day, weekday} & set("*?")

    def _day(self, random: Random) -> Item:
        """Draw a day of month."""
        numbers = self._item(random, range(1, 32))
        item = Item(numbers.text, lambda day: any(is_number(number)(day) for number in numbers.values))
        if not self.day_rules or random.random() < 0.5:
            return item
        return self._listed(random, item, [self._day_rule(random) for _ in range(random.randint(1, 2))])

    def _day_rule(self, random: Random) -> Item:
        number, before = random.randint(1, 28), random.randint(1, 27)
        form = random.choice(self.day_rules)
        meanings: dict[str, Matches] = {
            "L": is_last(0),
            "L-{k}": is_last(before),
            "LW": is_workday_near(None),
            "{n}W": is_workday_near(number),
            "W{n}": is_workday_near(number),
        }
        return Item(form.format(n=number, k=before), meanings[form])

    def _weekday(self, random: Random) -> Item:
        """Draw a day of week."""
        numbers = self._weekday_item(random)
        days = frozenset((value - self.sunday) % 7 for value in numbers.values)
        item = Item(numbers.text, lambda day: any(is_weekday(number)(day) for number in days))
        if not self.weekday_rules or random.random() < 0.5:
            return item
        return self._listed(random, item, [self._weekday_rule(random) for _ in range(random.randint(1, 2))])

    def _weekday_item(self, random: Random) -> Values:
        """Draw one item of weekdays in the numbers of the dialect; a range of names goes from Sunday to Saturday."""
        week = range(self.sunday, self.sunday + 7)
        item = self._item(random, week, WEEKDAYS if self.names else ())
        if "/" in item.text and not self.weekday_steps:
            return self._weekday_item(random)
        if "-" in item.text or "/" not in item.text:
            return item
        start, _, step = item.text.partition("/")
        first = self.first_of_star if start == "*" else int(start)
        return Values(item.text, frozenset(range(first, self.last_weekday + 1, int(step))))

    def _weekday_rule(self, random: Random) -> Item:
        number, nth = random.randint(self.sunday, self.last_weekday), random.randint(1, 5)
        weekday = (number - self.sunday) % 7
        name = random.choice([str(number), WEEKDAYS[weekday]]) if self.names else str(number)
        form = random.choice(self.weekday_rules)
        meaning = is_nth_weekday(weekday, nth) if "#" in form else is_last_weekday(weekday)
        return Item(form.format(d=number if form == "L{d}" else name, k=nth), meaning)

    def _listed(self, random: Random, item: Item, rules: list[Item]) -> Item:
        """Return an item with rules as one list, or one rule alone if the dialect has no such lists."""
        if not self.lists:
            return rules[0]
        items = random.choice([rules, [*rules, item]])
        return Item(",".join(one.text for one in items), lambda day: any(one.matches(day) for one in items))


DIALECTS: Mapping[str, Dialect] = {
    "cron": Dialect({}, "minute hour day month weekday"),
    "seconds first": Dialect({"seconds": "first"}, "second minute hour day month weekday"),
    "seconds last": Dialect({"seconds": "last"}, "minute hour day month weekday second"),
    "quartz": Dialect(
        {"dialect": "quartz"},
        "second minute hour day month weekday year?",
        sunday=1,
        first_of_star=1,
        both="question",
        lists=False,
    ),
    "aws": Dialect(
        {"dialect": "aws"},
        "minute hour day month weekday year",
        sunday=1,
        first_of_star=1,
        both="question",
        wraps="not",
        lists=False,
        day_rules=("L", "{n}W"),
        weekday_steps=False,
    ),
    "croniter": Dialect(
        {"dialect": "croniter"},
        "minute hour day month weekday second? year?",
        last_weekday=6,
        both="either",
        lists=False,
        mixes_rules=False,
        same_ends=False,
        wraps="plain",
        day_rules=("L", "{n}W", "W{n}"),
        weekday_rules=("L{d}", "{d}#{k}"),
        years=range(1970, 2100),
    ),
    "jenkins": Dialect(
        {"dialect": "jenkins"},
        "minute hour day month weekday",
        both="both",
        wraps="not",
        names=False,
        question=False,
        steps=("*", "N-M"),
        day_rules=(),
        weekday_rules=(),
    ),
    "spring": Dialect(
        {"dialect": "spring"},
        "second minute hour day month weekday",
        first_of_star=1,
        both="both",
        wraps="not",
    ),
}
"""The dialects by name, with the options of `CronExpression` that choose them."""
