"""The errors that the parser raises: what is wrong, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from aioq_cron.calendar.fields import WEEKDAY, YEAR, CronFields, Field
from aioq_cron.errors import InvalidCronExpression
from aioq_cron.expression.dialects import CRON, DIALECTS, Dialect
from aioq_cron.expression.hashed import HASHED

__all__ = [
    "backwards",
    "bad_character",
    "bad_hash",
    "bad_item",
    "bad_nickname",
    "bad_step",
    "bad_word",
    "in_field",
    "never_matches",
    "not_alone",
    "open_step",
    "outside",
    "part_of_crontab",
    "question_marks",
    "rule_beside_day",
    "shorten",
    "slip",
    "too_long",
    "wrapped",
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
    (re.compile(r"H.*"), "hashed value", "; write H, H/15, H(0-29) or H(0-29)/10"),
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


def bad_nickname(expression: str, dialect: Dialect) -> InvalidCronExpression:
    """Return the error of an unknown nickname, with what to write instead or the closest known one."""
    word = expression.lower().partition(" ")[0]
    close = get_close_matches(expression.lower(), dialect.nicknames, n=1)
    if word in _NICKNAME_HINTS:
        hint = _NICKNAME_HINTS[word]
    elif close:
        hint = f"did you mean {close[0]}?"
    elif dialect.nicknames:
        hint = f"use one of {', '.join(dialect.nicknames)}"
    else:
        hint = f"the dialect {dialect.name} has none; write its fields"
    return InvalidCronExpression(f"'{shorten(expression)}' is not a nickname; {hint}", expression=expression)


def wrong_count(expression: str, dialect: Dialect, count: int, instead: str | None) -> InvalidCronExpression:
    """Return the error of a wrong number of fields; `instead` is what the text may mean, or what to write."""
    hint = f"; {shorten(instead, 600)}" if instead else ""
    counts = " or ".join(str(len(layout)) for layout in dialect.layouts)
    names = " ".join(field.name for field in dialect.layouts[-1])
    return InvalidCronExpression(
        f"expected {counts} fields ({names}){_of(dialect)}, got {count}{hint}", expression=expression
    )


def wrapped(expression: str, what: str) -> InvalidCronExpression:
    """Return the error of `cron(...)`, `rate(...)` and `at(...)`."""
    hint = {
        "cron": 'cron(...) is how AWS writes it; use dialect="aws"',
        "rate": "a rate is a plain interval, and has no fields; use aioq_cron.Every, or @every 5m",
        "at": "a single moment is no schedule; enqueue a job with defer_until=",
    }[what]
    return InvalidCronExpression(f"'{shorten(expression)}': {hint}", expression=expression)


def question_marks(expression: str, dialect: str, *, both: bool) -> InvalidCronExpression:
    """Return the error of an expression that has `?` in both fields of the day, or in neither."""
    problem = "has ? in both fields of the day" if both else "has no ? in either field of the day"
    return InvalidCronExpression(
        f'"{shorten(expression)}" {problem}; the dialect {dialect} wants ? in exactly one of them: the one that does '
        "not choose the day",
        expression=expression,
        field="day-of-month",
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


def backwards(field: Field, item: re.Match[str], expression: str) -> InvalidCronExpression:
    """Return the error of a range that ends before it starts, in a dialect whose ranges do not go around."""
    first, last, step = item["first"], item["last"], f"/{item['step']}" if item["step"] else ""
    around = field.name != YEAR.name and not step
    hint = f"; write {first}-{field.high},{field.low}-{last}" if around else "; write the values"
    return in_field(field, f"range {first}-{last}{step} runs backwards", expression, hint)


def bad_hash(field: Field, item: str, expression: str, problem: str) -> InvalidCronExpression:
    """Return the error of an `H` that is understood, and has wrong numbers."""
    return in_field(field, f"'{shorten(item, 20)}' {problem}", expression)


def open_step(field: Field, item: str, expression: str, dialect: str) -> InvalidCronExpression:
    """Return the error of a step from a value on, in a dialect that has no such step."""
    first, _, step = item.partition("/")
    return in_field(
        field,
        f"the dialect {dialect} has no steps like '{shorten(item, 20)}'",
        expression,
        f"; write {first}-{field.high}/{step}",
    )


def slip(field: Field, item: str, expression: str, reading: tuple[str, str]) -> InvalidCronExpression:
    """Return the error of an item that croniter reads in a way of its own; `reading` says how, and what to write."""
    how, instead = reading
    return in_field(field, f"croniter reads '{shorten(item, 20)}' {how}", expression, f"; write {instead}")


def rule_beside_day(expression: str) -> InvalidCronExpression:
    """Return the error of W, # or the last weekday beside another restricted day, in the dialect of croniter."""
    return InvalidCronExpression(
        f'"{shorten(expression)}" restricts both fields of the day: croniter ignores the other field beside 15W, '
        "and never fires beside 1#2 or L5; write * in one of them, or make a Union of two expressions",
        expression=expression,
        field="day-of-month",
    )


def not_alone(field: Field, items: Sequence[str], expression: str, dialect: str) -> InvalidCronExpression:
    """Return the error of a list with L, W or #, in a dialect that has these in no list."""
    return in_field(
        field,
        f"the dialect {dialect} has L, W and # only alone in their field, and not in the list '{','.join(items)}'",
        expression,
        "; make a Union of several expressions",
    )


def bad_item(field: Field, item: str, expression: str, dialect: Dialect) -> InvalidCronExpression:
    """Return the error of an item that is not a number, name, range or star; names a known extension."""
    if not item:
        return in_field(field, "a list has an empty item", expression)
    for pattern, meaning, hint in _EXTENSIONS:
        if pattern.fullmatch(item.upper()):
            problem = f"'{shorten(item, 20)}' ({meaning}) is not supported{_of(dialect)}"
            return in_field(field, problem, expression, _hint_in(dialect, field, item.upper(), hint))
    return in_field(field, f"'{shorten(item, 20)}' is not a number, a range or *", expression)


def _hint_in(dialect: Dialect, field: Field, item: str, hint: str) -> str:
    """Return what to write in a dialect instead of an extension that it does not have."""
    if dialect.name not in DIALECTS or hint == _SPREAD:
        return hint
    if item == "?":
        return "; write *"
    if item == "L" and field.name == WEEKDAY.name:
        return "; write the day, as in SUN"
    if dialect.slips and re.fullmatch(r"[0-7]L", item):
        return f"; write L{item[0]}"
    # What this package has of its own, or takes from another dialect.
    return "; leave out dialect= to use it" if CRON.rule.fullmatch(item) or HASHED.fullmatch(item) else hint


def bad_word(field: Field, word: str, item: str, expression: str, dialect: Dialect) -> InvalidCronExpression:
    """Return the error of a word that is not a name of the field; `item` is the whole list item."""
    # A full name such as "Monday" begins with the right one. Only other words are compared for similarity.
    short = word[:3].upper()
    if short in field.names and not dialect.names:
        number = field.number(short)
        return in_field(field, f"the dialect {dialect.name} has no names", expression, f"; write {number} for {word}")
    if any(pattern.fullmatch(item.upper()) for pattern, _, _ in _EXTENSIONS):
        return bad_item(field, item, expression, dialect)
    if not field.names:
        return in_field(field, f"'{shorten(word, 20)}' is not a number", expression)
    close = [short] if short in field.names else get_close_matches(word[:20].upper(), field.names, n=1)
    use = close[0] if close else f"{field.low}-{field.high} or {', '.join(field.names)}"
    return InvalidCronExpression(
        f"{field.name} field: '{shorten(word, 20)}' is not a name; use {use}", expression=expression, field=field.name
    )


def never_matches(expression: str, fields: CronFields) -> InvalidCronExpression:
    """Return the error of a day that none of the months has."""
    months = ", ".join(map(str, fields.months))
    within = f" in the years {', '.join(map(str, fields.years[:5]))}" if fields.years else ""
    days = " or ".join([*map(str, fields.days), *(rule.text for rule in fields.day_rules)])
    # A day that exists is missed only together with a rule for the weekday.
    weekday = (
        f" that is {', '.join(rule.text for rule in fields.weekday_rules)}"
        if fields.weekday_rules and fields.has_day
        else ""
    )
    return InvalidCronExpression(
        f'"{shorten(expression)}" never matches: no month in ({months}) has day {days}{weekday}{within}; '
        "to switch an entry off use enabled=False",
        expression=expression,
        field="day-of-month",
    )


def _of(dialect: Dialect) -> str:
    return (
        ""
        if dialect is CRON
        else f" in the dialect {dialect.name}"
        if dialect.name in DIALECTS
        else f" ({dialect.name})"
    )
