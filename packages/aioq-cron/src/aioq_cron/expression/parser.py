"""Parses the text of an expression into the values of its fields. Strict: it guesses nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from aioq_cron.calendar.days import day_stepper
from aioq_cron.calendar.fields import DAY, EACH_MINUTE, HOUR, MINUTE, MONTH, SECOND, CronFields, Field
from aioq_cron.describe.words import in_words
from aioq_cron.errors import InvalidCronExpression
from aioq_cron.expression import messages
from aioq_cron.expression.dialects import CRON, DIALECTS, Dialect
from aioq_cron.expression.field_parser import FieldParser
from aioq_cron.expression.hashed import HASHED
from aioq_cron.expression.readings import foreign_parts, readings

__all__ = ["MAX_LENGTH", "has_hash", "parse_fields", "split_fields"]

MAX_LENGTH = 1_000
"""Characters of the longest accepted expression. Real ones are far shorter, and parsing takes milliseconds."""

# `str.isdigit` accepts the digits of all scripts, so nothing but ASCII gets that far.
_FOREIGN = re.compile(r"[^\t -~]")
_WRAPPED = re.compile(r"(?P<what>cron|rate|at)\((?P<text>.*)\)", re.IGNORECASE)
_NO_NAME = ""


def parse_fields(expression: str, dialect: Dialect = CRON, name: str | None = None) -> CronFields:
    """Return the values of the fields of `expression`; `name` chooses those of `H`.

    Raises:
        InvalidCronExpression: It is not understood, or no date ever matches.
        TypeError: It is not a str.
    """
    fields, parts = split_fields(expression, dialect)
    text = " ".join(parts.values())
    parser = FieldParser(dialect, text, name or _NO_NAME)
    days, weekdays, either = _day_parts(parts, text, dialect)
    months = parser.values(MONTH, parts["month"])
    day_numbers, day_rules = parser.days(DAY, days, months)
    weekday_numbers, weekday_rules = parser.days(fields["day-of-week"], weekdays, months)
    if either and dialect.slips and any(rule.kind != "last-day" for rule in (*day_rules, *weekday_rules)):
        raise messages.rule_beside_day(text)
    parsed = CronFields(
        seconds=parser.values(SECOND, parts["second"]) if "second" in parts else EACH_MINUTE,
        minutes=parser.values(MINUTE, parts["minute"]),
        hours=parser.values(HOUR, parts["hour"]),
        days=day_numbers,
        months=months,
        weekdays=weekday_numbers,
        years=parser.values(fields["year"], parts["year"]) if parts.get("year", "*") != "*" else None,
        day_rules=day_rules,
        weekday_rules=weekday_rules,
        either_day=either,
        # A bare step of Quartz has a star that is left out.
        wildcard=parts["minute"].startswith(("*", "/")) or parts["hour"].startswith(("*", "/")),
    )
    # Without a name the days of an `H` are not known.
    if not _ever_matches(parsed) and (name is not None or not has_hash(text, dialect)):
        raise messages.never_matches(text, parsed)
    return parsed


def split_fields(expression: object, dialect: Dialect) -> tuple[dict[str, Field], dict[str, str]]:
    """Return the fields of an expression, and its text for each of them; both by the names of the fields.

    Raises:
        InvalidCronExpression: It has another number of fields, or is not understood.
        TypeError: It is not a str.
    """
    parts = _split(expression, dialect)
    layout = dialect.layout(len(parts))
    if layout is None:
        raise messages.wrong_count(str(expression), dialect, len(parts), readings(parts, dialect, _in_words))
    return {field.name: field for field in layout}, {
        field.name: part for field, part in zip(layout, parts, strict=True)
    }


def has_hash(expression: str, dialect: Dialect) -> bool:
    """Return whether a valid expression has an `H`, whose value a name must choose."""
    if not dialect.hashes or not {"h", "H", "@"} & set(expression):
        return False
    return any(HASHED.fullmatch(item) for part in _split(expression, dialect) for item in part.split(","))


def _day_parts(parts: Mapping[str, str], text: str, dialect: Dialect) -> tuple[str, str, bool]:
    """Return the two fields of the day with `*` for `?`, and whether either of them is enough."""
    days, weekdays = parts["day-of-month"], parts["day-of-week"]
    if dialect.days == "one" and (days == "?") is (weekdays == "?"):
        raise messages.question_marks(text, dialect.name, both=days == "?")
    if dialect.question_mark:
        days, weekdays = ("*" if part == "?" else part for part in (days, weekdays))
    if dialect.days == "both":
        return days, weekdays, False
    if dialect.days == "either":
        return days, weekdays, days != "*" and weekdays != "*"
    # Vixie cron goes by the first character alone, so "*/2" counts as a star here.
    return days, weekdays, not (days.startswith("*") or weekdays.startswith("*"))


def _ever_matches(fields: CronFields) -> bool:
    simple = not (fields.day_rules or fields.weekday_rules or fields.years)
    if simple or not fields.ever_matches or (fields.either_day and fields.years is None):
        return fields.ever_matches
    # Only the calendar knows whether the last Friday of a month can be one of its first days.
    days = day_stepper(fields)
    # Any start will do if all years match: the calendar repeats.
    return days is None or days.first_from(date(fields.years[0] if fields.years else 2000, 1, 1)) is not None


def _split(expression: object, dialect: Dialect) -> list[str]:
    if not isinstance(expression, str):
        raise TypeError(f'a cron expression is a str such as "0 9 * * *", got {type(expression).__name__}')
    if len(expression) > MAX_LENGTH:
        raise messages.too_long(expression, MAX_LENGTH)
    # A text from a file or a variable often has the end of its line.
    text = expression.rstrip("\r\n")
    if character := _FOREIGN.search(text):
        raise messages.bad_character(expression, character.start())
    text = text.strip()
    if wrapped := _WRAPPED.fullmatch(text):
        if dialect is not DIALECTS["aws"] or wrapped["what"].lower() != "cron":
            raise messages.wrapped(text, wrapped["what"].lower())
        text = wrapped["text"]
    parts = dialect.nicknames.get(text.lower(), text).split()
    if parts and (foreign := foreign_parts(parts, dialect, _in_words)):
        raise messages.part_of_crontab(expression, foreign)
    if text.startswith("@") and text.lower() not in dialect.nicknames:
        raise messages.bad_nickname(text, dialect)
    return parts


def _in_words(text: str, dialect: Dialect) -> str | None:
    try:
        return in_words(parse_fields(text, dialect))
    except InvalidCronExpression:
        return None
