"""The days of an expression, in words."""

from __future__ import annotations

from collections.abc import Sequence

from aioq_cron.fields import DAY, MONTH, WEEKDAY, CronFields
from aioq_cron.listing import listed

__all__ = ["days_in_words"]

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_ORDINALS = ("first", "second", "third", "fourth")
_WEEK = 7


def days_in_words(fields: CronFields) -> str:
    """Return on which days it fires; nothing when that is on all days."""
    months = "" if len(fields.months) == MONTH.size else listed(fields.months, lambda month: _MONTHS[month - 1])
    any_day, any_weekday = len(fields.days) == DAY.size, len(fields.weekdays) == WEEKDAY.size
    if (any_day and any_weekday) or (fields.either_day and (any_day or any_weekday)):
        return f"in {months}" if months else ""
    days, weekdays = _days(fields.days, months), _weekdays(fields.weekdays)
    if any_weekday:
        return f"on {days}"
    if any_day:
        return f"on {weekdays}" + (f" in {months}" if months else "")
    if fields.either_day:
        return f"on {days}, and also on {weekdays}" + (f" in {months}" if months else "")
    if (ordinal := _ordinal(fields.days)) and len(fields.weekdays) == 1:
        return f"on the {ordinal} {weekdays} of {months or 'the month'}"
    return f"on {weekdays}, but only on {days}"


def _days(days: Sequence[int], months: str) -> str:
    return f"day{'s' if len(days) > 1 else ''} {listed(days)} of {months or 'the month'}"


def _weekdays(weekdays: Sequence[int]) -> str:
    """Sunday comes last, as in the working week."""
    return listed(sorted((day - 1) % _WEEK for day in weekdays), _WEEKDAYS.__getitem__)


def _ordinal(days: Sequence[int]) -> str | None:
    """Which week of the month the days are, if they are a whole one; the fifth never is."""
    week, rest = divmod(days[0] - 1, _WEEK)
    whole = rest == 0 and tuple(days) == tuple(range(days[0], days[0] + _WEEK))
    return _ORDINALS[week] if whole else None
