"""Parses the text of an expression into the values of its fields. Strict: it guesses nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from aioq_cron import messages
from aioq_cron.day_rules import LAST_OF_ALL, RULE, DayRule, without_implied
from aioq_cron.days import day_stepper
from aioq_cron.describe import in_words
from aioq_cron.errors import InvalidCronExpression
from aioq_cron.fields import DAY, FIELDS, WEEKDAY, CronFields, Field
from aioq_cron.readings import foreign_parts, readings

__all__ = ["MAX_LENGTH", "NICKNAMES", "parse_fields"]

MAX_LENGTH = 1_000
"""Characters of the longest accepted expression. Real ones are far shorter, and parsing takes milliseconds."""

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""Words that stand for a whole expression; upper or lower case."""

# `str.isdigit` accepts the digits of all scripts, so nothing but ASCII gets that far.
_FOREIGN = re.compile(r"[^\t -~]")
# Any start will do: the calendar repeats.
_SEARCH_START = date(2000, 1, 1)
_ITEM = re.compile(r"(?P<first>\*|[0-9]+|[A-Za-z]+)(-(?P<last>[0-9]+|[A-Za-z]+))?(/(?P<step>[0-9]+))?")


def parse_fields(expression: str) -> CronFields:
    """Return the values of the fields of `expression`.

    Raises:
        InvalidCronExpression: It is not understood, or no date ever matches.
        TypeError: It is not a str.
    """
    parts = _split(expression)
    if len(parts) != len(FIELDS):
        raise messages.wrong_count(expression, len(parts), readings(parts, _in_words))
    text = " ".join(parts)
    # "No particular day" is how Quartz leaves the day to the other field.
    parts[2:] = ["*" if part == "?" and place != 1 else part for place, part in enumerate(parts[2:])]
    minutes, hours, months = (_values(FIELDS[place], parts[place], text) for place in (0, 1, 3))
    days, day_rules = _days(DAY, parts[2], text, months)
    weekdays, weekday_rules = _days(WEEKDAY, parts[4], text, months)
    fields = CronFields(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=weekdays,
        day_rules=day_rules,
        weekday_rules=weekday_rules,
        # Vixie cron goes by the first character alone, so "*/2" counts as a star here.
        either_day=not (parts[2].startswith("*") or parts[4].startswith("*")),
        wildcard=parts[0].startswith("*") or parts[1].startswith("*"),
    )
    if not _ever_matches(fields):
        raise messages.never_matches(text, fields)
    return fields


def _ever_matches(fields: CronFields) -> bool:
    if fields.either_day or not (fields.day_rules or fields.weekday_rules) or not fields.ever_matches:
        return fields.ever_matches
    # Only the calendar knows whether the last Friday of a month can be one of its first days.
    days = day_stepper(fields)
    return days is None or days.first_from(_SEARCH_START) is not None


def _split(expression: object) -> list[str]:
    if not isinstance(expression, str):
        raise TypeError(f'a cron expression is a str such as "0 9 * * *", got {type(expression).__name__}')
    if len(expression) > MAX_LENGTH:
        raise messages.too_long(expression, MAX_LENGTH)
    # A text from a file or a variable often has the end of its line.
    text = expression.rstrip("\r\n")
    if character := _FOREIGN.search(text):
        raise messages.bad_character(expression, character.start())
    text = text.strip()
    parts = NICKNAMES.get(text.lower(), text).split()
    if parts and (foreign := foreign_parts(parts, _in_words)):
        raise messages.part_of_crontab(expression, foreign)
    if text.startswith("@") and text.lower() not in NICKNAMES:
        raise messages.bad_nickname(text, list(NICKNAMES))
    return parts


def _in_words(text: str) -> str | None:
    try:
        return in_words(parse_fields(text))
    except InvalidCronExpression:
        return None


def _values(field: Field, part: str, expression: str) -> tuple[int, ...]:
    items = part.split(",")
    values = {value for item in items for value in _item(field, item, expression, alone=len(items) == 1)}
    return tuple(sorted(values))


def _days(
    field: Field, part: str, expression: str, months: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[DayRule, ...]]:
    """Return the numbers of a day field, and its rules."""
    rules, plain = set[DayRule](), list[str]()
    for item in part.split(","):
        if rule := _rule(field, item, expression):
            rules.add(rule)
        else:
            plain.append(item)
    numbers = set(_values(field, ",".join(plain), expression)) if plain else set[int]()
    # Cron accepts both 0 and 7 for Sunday.
    numbers = {number % 7 for number in numbers} if field is WEEKDAY else numbers
    numbers, rules = without_implied(numbers, rules, months) if rules else (numbers, rules)
    return tuple(sorted(numbers)), tuple(sorted(rules))


def _rule(field: Field, item: str, expression: str) -> DayRule | None:
    """Return what a rule such as `L`, `15W` or `MON#2` stands for; None if the item is no rule of this field."""
    match = RULE.fullmatch(item)
    if match is None or (match["weekday"] is None) is (field is WEEKDAY):
        return None
    if match["last"]:
        return DayRule("last-day", _within(field, match["before"] or "0", (0, 30), expression))
    if workday := match["workday"]:
        return DayRule("workday", LAST_OF_ALL if workday in "Ll" else _value(field, workday, item, expression))
    weekday = _value(field, match["weekday"], item, expression) % 7
    if match["nth"] is None:
        return DayRule("last-weekday", weekday)
    return DayRule("nth-weekday", weekday, _within(field, match["nth"], (1, 5), expression))


def _within(field: Field, text: str, bounds: tuple[int, int], expression: str) -> int:
    if not bounds[0] <= int(text) <= bounds[1]:
        raise messages.outside(field, text, expression, bounds)
    return int(text)


def _item(field: Field, item: str, expression: str, *, alone: bool) -> Iterable[int]:
    match = _ITEM.fullmatch(item)
    if match is None or (match["first"] == "*" and match["last"] is not None):
        raise messages.bad_item(field, item, expression)
    low, high = _bounds(field, match, expression)
    step = 1 if match["step"] is None else int(match["step"])
    # "*/100,1-7 * MON" is how cron says "first Monday": the item is there for its star.
    idiom = field is DAY and match["first"] == "*" and not alone
    if step == 0 or (step > field.size and not idiom):
        raise messages.bad_step(field, match["step"], low, expression)
    if low <= high:
        return range(low, high + 1, step)
    # Around the end of the field: 22-2 is 22, 23, 0, 1, 2. The day of month counts 31 days in every month.
    around = range(low, low + (high - low) % field.size + 1, step)
    return ((value - field.low) % field.size + field.low for value in around)


def _bounds(field: Field, item: re.Match[str], expression: str) -> tuple[int, int]:
    first, last = item["first"], item["last"]
    if first == "*":
        return field.low, field.high
    low = _value(field, first, item[0], expression)
    if last is None:
        # `5/15` means `5-59/15`.
        return low, low if item["step"] is None else field.high
    high = _value(field, last, item[0], expression)
    # SUN stands for 0, but in FRI-SUN it is the end of the week.
    return low, 7 if field is WEEKDAY and last.upper() == "SUN" and low > 0 else high


def _value(field: Field, text: str, item: str, expression: str) -> int:
    if not text.isdigit() and text.upper() not in field.names:
        raise messages.bad_word(field, text, item, expression)
    return _within(field, str(field.number(text)), (field.low, field.high), expression)
