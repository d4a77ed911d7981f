"""Describes an expression in words: the times of a day, and the days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from aioq_cron.calendar.day_rules import ORDINALS, WEEKDAY_NAMES
from aioq_cron.calendar.fields import DAY, EACH_MINUTE, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, CronFields

__all__ = ["in_words", "joined", "listed", "shortened", "spans", "stride"]

_WEEKDAYS = (*WEEKDAY_NAMES[1:], WEEKDAY_NAMES[0])
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
_FEW_TIMES = 3
"""Times of day up to which each is named."""
_MAX_NAMED_TIMES = 6
"""Times of day that are named at most, if there is no shorter description."""
_SHORTEST_SPAN = 3
"""Consecutive numbers from which on they are written as a span."""
_LONGEST_LIST = 8
"""Numbers from which on they are written as steps, if they are equally far apart."""
_WEEK = 7


def in_words(fields: CronFields) -> str:
    """Return when an expression fires: "at 09:00 on Monday to Friday"."""
    time, is_plain = _time_in_words(fields.minutes, fields.hours)
    seconds = _seconds_in_words(fields.seconds)
    if seconds and time == "every minute":
        time, seconds = (seconds if seconds.startswith("every") else f"{seconds} of every minute"), ""
    days = _days_in_words(fields)
    every_day = "" if is_plain or days.startswith("on ") else "every day"
    years = "" if fields.years is None else _years_in_words(fields.years)
    words = " ".join(word for word in (time, every_day, days, years) if word)
    return f"{words}, {seconds} of the minute" if seconds else words


def _seconds_in_words(seconds: Sequence[int]) -> str:
    """Return the seconds of a minute; an empty text if it is the first one alone."""
    if seconds == EACH_MINUTE:
        return ""
    if _divides(seconds, SECOND.size):
        return _every(stride(seconds), "second")
    return f"at second{'s' if len(seconds) > 1 else ''} {listed(seconds)}"


def _years_in_words(years: Sequence[int]) -> str:
    return f"in the year{'s' if len(years) > 1 else ''} {listed(years)}"


def _days_in_words(fields: CronFields) -> str:
    """Return the days on which the expression fires; an empty text if it fires on all days."""
    months = "" if len(fields.months) == MONTH.size else listed(fields.months, lambda month: _MONTHS[month - 1])
    any_day, any_weekday = len(fields.days) == DAY.size, len(fields.weekdays) == WEEKDAY.size
    if (any_day and any_weekday) or (fields.either_day and (any_day or any_weekday)):
        return f"in {months}" if months else ""
    days, weekdays = _days(fields, months), _weekdays(fields, months)
    in_months = f" in {months}" if months and not fields.weekday_rules else ""
    if any_weekday:
        return f"on {days}"
    if any_day:
        return f"on {weekdays}{in_months}"
    if fields.either_day:
        return f"on {days}, and also on {weekdays}{in_months}"
    # The idiom of cron for "the first Monday": all days of one week of the month, and one weekday.
    if (ordinal := _ordinal(fields)) and len(fields.weekdays) == 1 and not fields.weekday_rules:
        return f"on the {ordinal} {weekdays} of {months or 'the month'}"
    return f"on {weekdays}, but only on {days}"


def _days(fields: CronFields, months: str) -> str:
    """Return days of the month in words, numbers first."""
    days = fields.days
    numbers = [f"day{'s' if len(days) > 1 else ''} {listed(days)}"] if days else []
    return f"{joined([*numbers, *(rule.words for rule in fields.day_rules)])} of {months or 'the month'}"


def _weekdays(fields: CronFields, months: str) -> str:
    """Return weekdays in words: those of each week first, and of these Sunday last."""
    days, rules = sorted((day - 1) % _WEEK for day in fields.weekdays), fields.weekday_rules
    if not rules:
        return listed(days, _WEEKDAYS.__getitem__)
    weekly = [f"each {listed(days, _WEEKDAYS.__getitem__)}"] if days else []
    return f"{joined([*weekly, *(rule.words for rule in rules)])} of {months or 'the month'}"


def _ordinal(fields: CronFields) -> str | None:
    """Return the ordinal of the week of the month if the days are exactly one of its first four weeks."""
    days = fields.days
    if not days or fields.day_rules:
        return None
    week, rest = divmod(days[0] - 1, _WEEK)
    whole = rest == 0 and tuple(days) == tuple(range(days[0], days[0] + _WEEK))
    return ORDINALS[week] if whole else None


def _time_in_words(minutes: Sequence[int], hours: Sequence[int]) -> tuple[str, bool]:
    """Return the times of day, and whether the text is complete without naming days.

    "every 5 minutes" is complete; "at 09:00" needs an "every day".
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
    return _at(minutes, hours) if count <= _MAX_NAMED_TIMES else _past(minutes, hours)


def _at(minutes: Sequence[int], hours: Sequence[int]) -> str:
    return f"at {joined([_time(hour, minute) for hour in hours for minute in minutes])}"


def _past(minutes: Sequence[int], hours: Sequence[int]) -> str:
    if _divides(minutes, MINUTE.size):
        return f"{_every(stride(minutes), 'minute')} of the hours {listed(hours)}"
    past = f"hour {hours[0]}" if len(hours) == 1 else f"hours {listed(hours)}"
    return f"at minute{'s' if len(minutes) > 1 else ''} {listed(minutes)} past the {past}"


def _divides(values: Sequence[int], size: int) -> bool:
    """Return whether values start at 0 and divide `size` into equal steps."""
    step = stride(values)
    return values[0] == 0 and step > 0 and values[-1] + step == size


def _every(count: int, unit: str) -> str:
    return f"every {count} {unit}s" if count > 1 else f"every {unit}"


def _time(hour: int, minute: int) -> str:
    return f"{hour:02}:{minute:02}"


def joined(words: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def shortened(words: Sequence[str], most: int) -> str:
    """Return words as a list; of more than `most` the first ones and the number of the others."""
    if len(words) <= most:
        return joined(words)
    return f"{', '.join(words[: most - 1])} and {len(words) - most + 1} more"


def listed(values: Sequence[int], word: Callable[[int], str] = str) -> str:
    """Return ascending numbers in words: one by one, as spans, or as steps. Every number is covered.

    `1 to 5 and 9`, or `0 to 56 in steps of 7` for many that are equally far apart.
    """
    step = stride(values)
    if step > 1 and len(values) > _LONGEST_LIST:
        return f"{word(values[0])} to {word(values[-1])} in steps of {step}"
    words = list[str]()
    for first, last in spans(values):
        if last - first + 1 < _SHORTEST_SPAN:
            words += [word(value) for value in range(first, last + 1)]
        else:
            words.append(f"{word(first)} to {word(last)}")
    return joined(words)


def spans(values: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of each run of consecutive numbers."""
    first = values[0]
    # The None ends the last run: no number is followed by it.
    for value, following in zip(values, [*values[1:], None], strict=True):
        if following != value + 1:
            yield first, value
            first = following or 0


def stride(values: Sequence[int]) -> int:
    """Return the distance between neighbours if it is the same for all of them; 0 otherwise and for one number."""
    steps = {later - earlier for earlier, later in pairwise(values)}
    return steps.pop() if len(steps) == 1 else 0
