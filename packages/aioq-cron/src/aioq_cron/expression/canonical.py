"""The one text that all expressions with the same meaning share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from aioq_cron.calendar.day_rules import DayRule
from aioq_cron.calendar.fields import DAY, EACH_MINUTE, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, YEAR, CronFields, Field

__all__ = ["canonical_text"]


def canonical_text(fields: CronFields) -> str:
    """Return the expression in the one form that all texts with this meaning share.

    Numbers instead of names, in ascending order, ranges for neighbours, and `*` for all values of a field. If the
    star of a step has an effect of its own, one field keeps it. A sixth field has the seconds and is the first, a
    seventh has the years and is the last. It is an expression itself, but for an `&` in front of the day of week:
    both fields of the day must match, and neither can have a star to say so.
    """
    time = _texts(((MINUTE, fields.minutes), (HOUR, fields.hours)), starred=fields.wildcard)
    seconds = [] if fields.seconds == EACH_MINUTE and fields.years is None else [_text(SECOND, fields.seconds)]
    years = [] if fields.years is None else [_text(YEAR, fields.years, starred=False)]
    days, weekdays = _days(fields)
    return " ".join((*seconds, *time, days, _text(MONTH, fields.months), weekdays, *years))


def _days(fields: CronFields) -> tuple[str, str]:
    every_day = len(fields.days) == DAY.size or len(fields.weekdays) == WEEKDAY.size
    if fields.either_day and every_day:
        # One of the alternatives holds on each day, as if both fields were stars.
        return "*", "*"
    numbers = _texts(((DAY, fields.days), (WEEKDAY, fields.weekdays)), starred=not fields.either_day)
    days, weekdays = map(_with_rules, numbers, (fields.day_rules, fields.weekday_rules))
    needs_mark = not fields.either_day and not days.startswith("*") and not weekdays.startswith("*")
    return days, f"&{weekdays}" if needs_mark else weekdays


def _with_rules(text: str, rules: Sequence[DayRule]) -> str:
    if not rules:
        return text
    return ",".join([*([text] if text else []), *(rule.text for rule in rules)])


def _texts(fields: Sequence[tuple[Field, tuple[int, ...]]], *, starred: bool) -> list[str]:
    """Return the texts of two fields; if `starred`, one begins with `*` unless neither has the lowest value."""
    texts = [_text(field, values, starred=starred) for field, values in fields]
    if starred and not any(text.startswith("*") for text in texts):
        # The star of a step always includes the lowest value.
        for at, (field, values) in enumerate(fields):
            if values[:1] == (field.low,):
                texts[at] = _with_star(field, values)
                break
    return texts


def _text(field: Field, values: tuple[int, ...], *, starred: bool = True) -> str:
    return "*" if starred and len(values) == field.size else _listed(values)


@lru_cache(maxsize=1_024)
def _listed(values: tuple[int, ...]) -> str:
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
