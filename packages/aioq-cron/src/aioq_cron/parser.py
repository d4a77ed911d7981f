"""Parses the text of an expression into the values of its fields. Strict: it guesses nothing."""

from __future__ import annotations

import re

from aioq_cron import messages
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
    minutes, hours, days, months, weekdays = (
        _values(field, part, text) for field, part in zip(FIELDS, parts, strict=True)
    )
    fields = CronFields(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=weekdays,
        # Vixie cron goes by the first character alone, so "*/2" counts as a star here.
        either_day=not (parts[2].startswith("*") or parts[4].startswith("*")),
        wildcard=parts[0].startswith("*") or parts[1].startswith("*"),
    )
    if not fields.ever_matches:
        raise messages.never_matches(text, fields)
    return fields


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
    values: set[int] = set()
    for item in items:
        values.update(_item(field, item, expression, alone=len(items) == 1))
    # Cron accepts both 0 and 7 for Sunday.
    return tuple(sorted({value % 7 for value in values} if field is WEEKDAY else values))


def _item(field: Field, item: str, expression: str, *, alone: bool) -> range:
    match = _ITEM.fullmatch(item)
    if match is None or (match["first"] == "*" and match["last"] is not None):
        raise messages.bad_item(field, item, expression)
    low, high = _bounds(field, match, expression)
    if match["step"] is None:
        return range(low, high + 1)
    step = int(match["step"])
    # "*/100,1-7 * MON" is how cron says "first Monday": the item is there for its star.
    idiom = field is DAY and match["first"] == "*" and not alone
    if step == 0 or (step > field.size and not idiom):
        raise messages.bad_step(field, match["step"], low, expression)
    return range(low, high + 1, step)


def _bounds(field: Field, item: re.Match[str], expression: str) -> tuple[int, int]:
    first, last = item["first"], item["last"]
    if first == "*":
        return field.low, field.high
    low = _value(field, first, item, expression)
    if last is None:
        # `5/15` means `5-59/15`.
        return low, low if item["step"] is None else field.high
    high = _value(field, last, item, expression)
    # SUN stands for 0, but in FRI-SUN it is the end of the week.
    if field is WEEKDAY and last.upper() == "SUN" and low > 0:
        high = 7
    if high < low:
        raise messages.backwards(field, first, last, expression, rewrite=item["step"] is None)
    return low, high


def _value(field: Field, text: str, item: re.Match[str], expression: str) -> int:
    if not text.isdigit() and text.upper() not in field.names:
        raise messages.bad_word(field, text, item[0], expression)
    value = field.number(text)
    if not field.low <= value <= field.high:
        raise messages.outside(field, text, expression)
    return value
