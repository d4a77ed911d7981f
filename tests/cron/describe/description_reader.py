"""Reads descriptions of expressions back, so that a test can compare them with the expressions.

The reader shares no code with the package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MONTHS = [
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
]
WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
WORKING_WEEK = [*WEEKDAYS[1:], WEEKDAYS[0]]
EVERY = re.compile(r"every (?:(\d+) )?(minute|hour)s?(?: from (\d\d:\d\d) to (\d\d:\d\d)| of the hours (.+))?")
PAST = re.compile(r"at minutes? (.+) past (?:every hour|the hours? (.+))")
DAYS = re.compile(
    r"in (?P<months>.+)"
    r"|on the (?P<week>first|second|third|fourth) (?P<weekday>\w+) of (?P<of>.+)"
    r"|on (?P<only>.+), but only on days? (?P<days1>.+) of (?P<of1>.+)"
    r"|on days? (?P<days2>.+) of (?P<of2>.+), and also on (?P<also>.+?)(?: in (?P<in2>.+))?"
    r"|on days? (?P<days3>.+) of (?P<of3>.+)"
    r"|on (?P<weekdays>.+?)(?: in (?P<in4>.+))?"
)
WHOLE = re.compile(r"(?P<time>(?:every|at) .+?)(?: every day)?(?: (?P<days>(?:on|in(?! steps)) .+))?")

Time = tuple[int, int]
Day = Callable[[int, int, int], bool]
"""Whether a month, a day of the month and a weekday match; Sunday is 0."""


@dataclass(frozen=True)
class Reading:
    """The times and days that a description names."""

    times: frozenset[Time]
    """Hours and minutes."""
    is_day: Day


def read(words: str) -> Reading:
    """Return the times and days that the description of an expression names."""
    found = WHOLE.fullmatch(words)
    assert found, words
    return Reading(frozenset(_times(found["time"])), _day(found["days"]))


def _times(text: str) -> set[Time]:
    if found := EVERY.fullmatch(text):
        step, unit, first, last, hours = found.groups()
        minutes = int(step or 1) * (60 if unit == "hour" else 1)
        start, end = _minute(first or "00:00"), _minute(last or "23:59")
        times = {divmod(minute, 60) for minute in range(start, end + 1, minutes)}
        return {time for time in times if time[0] in _numbers(hours)} if hours else times
    if found := PAST.fullmatch(text):
        hours = _numbers(found[2]) if found[2] else set(range(24))
        return {(hour, minute) for hour in hours for minute in _numbers(found[1])}
    return {divmod(_minute(time), 60) for time in re.split(", | and ", text.removeprefix("at "))}


def _minute(time: str) -> int:
    hour, minute = time.split(":")
    return int(hour) * 60 + int(minute)


def _day(text: str | None) -> Day:
    if text is None:
        return lambda month, day, weekday: True
    found = DAYS.fullmatch(text)
    assert found, text
    return _day_of({name: value for name, value in found.groupdict().items() if value is not None})


def _day_of(parts: dict[str, str]) -> Day:
    months = {_month for name in parts if name[:2] in ("of", "mo", "in") for _month in _named(parts[name], MONTHS, 1)}
    if "week" in parts:
        week = ["first", "second", "third", "fourth"].index(parts["week"])
        numbers, weekdays = set(range(week * 7 + 1, week * 7 + 8)), _weekdays(parts["weekday"])
    else:
        numbers = {number for name in parts if name[:4] == "days" for number in _numbers(parts[name])}
        weekdays = {day for name in ("only", "also", "weekdays") if name in parts for day in _weekdays(parts[name])}
    join = any if "also" in parts else all

    def is_day(month: int, day: int, weekday: int) -> bool:
        asked = ([day in numbers] if numbers else []) + ([weekday in weekdays] if weekdays else [])
        return month in months and join(asked) if months else join(asked)

    return is_day


def _weekdays(text: str) -> set[int]:
    return {(place + 1) % 7 for place in _named(text, WORKING_WEEK, 0)}


def _named(text: str, names: Sequence[str], low: int) -> set[int]:
    if text == "the month":
        return set()
    for place, name in enumerate(names):
        text = text.replace(name, str(place + low))
    return _numbers(text)


def _numbers(text: str) -> set[int]:
    numbers: set[int] = set()
    for item in re.split(", | and ", text):
        found = re.fullmatch(r"(\d+)(?: to (\d+)(?: in steps of (\d+))?)?", item)
        assert found, text
        first, last, step = found.groups()
        numbers.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return numbers
