"""The errors that the parser raises: what is wrong, and what to write instead."""

from __future__ import annotations

import re
from difflib import get_close_matches

from aioq_cron.errors import InvalidCronExpression
from aioq_cron.fields import CronFields, Field

__all__ = [
    "bad_character",
    "bad_item",
    "bad_nickname",
    "bad_step",
    "bad_word",
    "in_field",
    "never_matches",
    "outside",
    "part_of_crontab",
    "shorten",
    "too_long",
    "wrong_count",
]

_QUOTED = 100

_SPREAD = "; write one value, and spread the runs with jitter="

# Matched against one list item in upper case, after names and numbers were ruled out.
_EXTENSIONS = (
    (re.compile(r".*\?.*"), "'no particular day'", "; write * for each value"),
    (re.compile(r"L[0-7]"), "last weekday as croniter writes it", "; write the weekday first, as in 5L"),
    (re.compile(r"L"), "Saturday in Quartz, the last day elsewhere", "; write SAT, or L as the day of month"),
    (
        re.compile(r".*#.*"),
        "nth weekday of the month",
        "; write a weekday, # and 1 to 5 as the day of week, as in MON#2",
    ),
    (re.compile(r".*W|W\d*"), "nearest working day", "; write one day and W as the day of month, as in 15W"),
    (re.compile(r"L.*|(\d|[A-Z]{3})L"), "last day", "; write L or L-3 as the day of month, or 5L as the day of week"),
    (re.compile(r"H(\(.*\))?(/\d+)?"), "hashed value, an extension of Jenkins", ""),
    (re.compile(r"R(\(.*\))?(/\d+)?"), "random value, an extension of croniter", _SPREAD),
    (re.compile(r".*~.*"), "random value, an extension of cronie", _SPREAD),
)


_NICKNAME_HINTS = {
    "@every": "for a plain interval use aioq_cron.Every",
    "@reboot": "for work at the start of a worker use the lifespan of the app",
    "@weekdays": 'write "0 0 * * 1-5"',
    "@weekday": 'write "0 0 * * 1-5"',
    "@weekends": 'write "0 0 * * 6,0"',
    "@weekend": 'write "0 0 * * 6,0"',
    "@quarterly": 'write "0 0 1 */3 *"',
}


def in_field(field: Field, problem: str, expression: str, hint: str = "") -> InvalidCronExpression:
    """Return the error of one field: it states the problem, quotes the expression and adds a hint."""
    return InvalidCronExpression(
        f'{field.name} field: {problem}, in "{shorten(expression)}"{hint}', expression=expression, field=field.name
    )


def shorten(text: str, limit: int = _QUOTED) -> str:
    """Return a text that is short enough for a message."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def too_long(expression: str, limit: int) -> InvalidCronExpression:
    """Return the error of a text that is too long to be parsed."""
    return InvalidCronExpression(
        f"the expression has {len(expression):,} characters and the limit is {limit:,}", expression=expression
    )


def bad_character(expression: str, position: int) -> InvalidCronExpression:
    """Return the error of a character that is never valid, such as a line break or a digit of another script."""
    return InvalidCronExpression(
        f"the character {expression[position]!a} at position {position + 1} is not allowed; "
        f"use ASCII letters, digits and signs, with blanks between the fields",
        expression=expression,
    )


def bad_nickname(expression: str, nicknames: list[str]) -> InvalidCronExpression:
    """Return the error of an unknown nickname, with what to write instead or the closest known one."""
    word = expression.lower().partition(" ")[0]
    close = get_close_matches(expression.lower(), nicknames, n=1)
    if word in _NICKNAME_HINTS:
        hint = _NICKNAME_HINTS[word]
    elif close:
        hint = f"did you mean {close[0]}?"
    else:
        hint = f"use one of {', '.join(nicknames)}"
    return InvalidCronExpression(f"'{shorten(expression)}' is not a nickname; {hint}", expression=expression)


def wrong_count(expression: str, count: int, instead: str | None) -> InvalidCronExpression:
    """Return the error of a wrong number of fields; `instead` is what the text may mean, or what to write."""
    hint = f"; {shorten(instead, 600)}" if instead else ""
    # The readings of several systems contradict each other, so none of them is suggested.
    return InvalidCronExpression(
        f"expected 5 fields (minute hour day-of-month month day-of-week), got {count}{hint}", expression=expression
    )


def part_of_crontab(expression: str, instead: str) -> InvalidCronExpression:
    """Return the error of a zone, a user or a command in the text, as in a crontab; `instead` is what to write."""
    return InvalidCronExpression(shorten(instead, 600), expression=expression)


def outside(field: Field, text: str, expression: str, bounds: tuple[int, int]) -> InvalidCronExpression:
    """Return the error of a number outside its bounds."""
    return in_field(field, f"{shorten(text, 20)} is outside {bounds[0]}-{bounds[1]}", expression)


def bad_step(field: Field, text: str, low: int, expression: str) -> InvalidCronExpression:
    """Return the error of a step that is zero, or larger than the field."""
    hint = f"; it would match {low} alone" if int(text) else ""
    return in_field(field, f"step {shorten(text, 20)} is outside 1-{field.size}", expression, hint)


def bad_item(field: Field, item: str, expression: str) -> InvalidCronExpression:
    """Return the error of an item that is not a number, name, range or star; names a known extension."""
    if not item:
        return in_field(field, "a list has an empty item", expression)
    for pattern, meaning, hint in _EXTENSIONS:
        if pattern.fullmatch(item.upper()):
            return in_field(field, f"'{shorten(item, 20)}' ({meaning}) is not supported", expression, hint)
    return in_field(field, f"'{shorten(item, 20)}' is not a number, a range or *", expression)


def bad_word(field: Field, word: str, item: str, expression: str) -> InvalidCronExpression:
    """Return the error of a word that is not a name of the field; `item` is the whole list item."""
    if any(pattern.fullmatch(item.upper()) for pattern, _, _ in _EXTENSIONS):
        return bad_item(field, item, expression)
    if not field.names:
        return in_field(field, f"'{shorten(word, 20)}' is not a number", expression)
    # A full name such as "Monday" begins with the right one. Only other words are compared for similarity.
    short = word[:3].upper()
    close = [short] if short in field.names else get_close_matches(word[:20].upper(), field.names, n=1)
    use = close[0] if close else f"{field.low}-{field.high} or {', '.join(field.names)}"
    return InvalidCronExpression(
        f"{field.name} field: '{shorten(word, 20)}' is not a name; use {use}", expression=expression, field=field.name
    )


def never_matches(expression: str, fields: CronFields) -> InvalidCronExpression:
    """Return the error of a day that none of the months has."""
    months = ", ".join(map(str, fields.months))
    days = " or ".join([*map(str, fields.days), *(rule.text for rule in fields.day_rules)])
    # A day that exists is missed only together with a rule for the weekday.
    weekday = f" that is {', '.join(rule.text for rule in fields.weekday_rules)}" if fields.has_day else ""
    return InvalidCronExpression(
        f'"{shorten(expression)}" never matches: no month in ({months}) has day {days}{weekday}; '
        "to switch an entry off use enabled=False",
        expression=expression,
        field="day-of-month",
    )
