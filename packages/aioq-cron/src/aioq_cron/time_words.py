"""The times of day of an expression, in words."""

from __future__ import annotations

from collections.abc import Sequence

from aioq_cron.fields import HOUR, MINUTE
from aioq_cron.listing import joined, listed, stride

__all__ = ["time_in_words"]

_FEW_TIMES, _MOST_TIMES = 3, 6
"""Times of day that are named one by one, and at most when there is no shorter way to say them."""


def time_in_words(minutes: Sequence[int], hours: Sequence[int]) -> tuple[str, bool]:
    """Return when in a day it fires, and whether that goes without saying which days.

    "every 5 minutes" is the same on all days; "at 09:00" wants an "every day".
    """
    if len(hours) == HOUR.size:
        return _every_hour(minutes), True
    if minutes[0] == 0 and len(minutes) == 1 and _divides(hours, HOUR.size):
        return f"every {stride(hours)} hours", True
    return _in_some_hours(minutes, hours), False


def _every_hour(minutes: Sequence[int]) -> str:
    if _divides(minutes, MINUTE.size):
        return _every(stride(minutes), "minute")
    if len(minutes) > 1:
        return f"at minutes {listed(minutes)} past every hour"
    return f"at minute {minutes[0]} past every hour" if minutes[0] else "every hour"


def _in_some_hours(minutes: Sequence[int], hours: Sequence[int]) -> str:
    count, step = len(minutes) * len(hours), stride(hours)
    if count <= _FEW_TIMES:
        return _at(minutes, hours)
    if _divides(minutes, MINUTE.size) and (len(hours) == 1 or step == 1):
        last = _time(hours[-1], minutes[-1])
        return f"{_every(stride(minutes), 'minute')} from {_time(hours[0], 0)} to {last}"
    if len(minutes) == 1 and step:
        first, last = _time(hours[0], minutes[0]), _time(hours[-1], minutes[0])
        return f"{_every(step, 'hour')} from {first} to {last}"
    return _at(minutes, hours) if count <= _MOST_TIMES else _past(minutes, hours)


def _at(minutes: Sequence[int], hours: Sequence[int]) -> str:
    return f"at {joined([_time(hour, minute) for hour in hours for minute in minutes])}"


def _past(minutes: Sequence[int], hours: Sequence[int]) -> str:
    if _divides(minutes, MINUTE.size):
        return f"{_every(stride(minutes), 'minute')} of the hours {listed(hours)}"
    past = f"hour {hours[0]}" if len(hours) == 1 else f"hours {listed(hours)}"
    return f"at minute{'s' if len(minutes) > 1 else ''} {listed(minutes)} past the {past}"


def _divides(values: Sequence[int], size: int) -> bool:
    """Whether values are equally far apart all round the clock, from 0 on."""
    step = stride(values)
    return values[0] == 0 and step > 0 and values[-1] + step == size


def _every(count: int, unit: str) -> str:
    return f"every {count} {unit}s" if count > 1 else f"every {unit}"


def _time(hour: int, minute: int) -> str:
    return f"{hour:02}:{minute:02}"
