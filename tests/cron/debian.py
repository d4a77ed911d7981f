"""A model of Debian's cron that tries every minute.

The model shares no code with the package and is slow. Expressions are drawn together with their values, so the model
needs no parser.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
THREE_HOURS = timedelta(hours=3)
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


@dataclass(frozen=True)
class Part:
    """The text of a field or of one list item, and its values."""

    text: str
    values: frozenset[int]


class Plan(Protocol):
    """The wall times of a job."""

    @property
    def wildcard(self) -> bool:
        """Whether the minute or the hour starts with a star."""
        ...

    def matches(self, wall: datetime) -> bool:
        """Return whether the job is due at a wall time."""
        ...


@dataclass(frozen=True)
class Crontab:
    """The five fields of an expression."""

    minute: Part
    hour: Part
    day: Part
    month: Part
    weekday: Part

    @property
    def text(self) -> str:
        """Return the expression."""
        return " ".join(part.text for part in (self.minute, self.hour, self.day, self.month, self.weekday))

    @property
    def wildcard(self) -> bool:
        """Return whether the minute or the hour starts with a star."""
        return self.minute.text[0] == "*" or self.hour.text[0] == "*"

    def matches(self, wall: datetime) -> bool:
        """Return whether the expression matches a local time."""
        if wall.minute not in self.minute.values or wall.hour not in self.hour.values:
            return False
        return self.matches_day(wall.month, wall.day, wall.isoweekday() % 7)

    def matches_day(self, month: int, day: int, weekday: int) -> bool:
        """Return whether the expression matches a day; Sunday is 0."""
        if month not in self.month.values:
            return False
        days = day in self.day.values, weekday in {day % 7 for day in self.weekday.values}
        return all(days) if "*" in (self.day.text[0], self.weekday.text[0]) else any(days)


@st.composite
def items(draw: st.DrawFn, low: int, high: int, names: list[str], often: int) -> Part:
    """Draw one list item; `often` is the largest number, so that examples fall near clock changes."""

    def spelled(number: int) -> str:
        if number - low < len(names) and draw(st.booleans()):
            return draw(st.sampled_from([names[number - low], names[number - low].lower()]))
        return str(number)

    kind = draw(st.sampled_from(["*", "*/", "n", "n", "n/", "-", "-/"]))
    step = draw(st.integers(1, min(high, 31) if names or low else 30)) if kind.endswith("/") else 1
    step = min(step, 7) if high == 7 else min(step, high)
    first = draw(st.integers(low, often))
    last = draw(st.integers(first, often)) if "-" in kind else high if "/" in kind else first
    if kind.startswith("*"):
        first, last = low, high
    text = "*" if kind.startswith("*") else spelled(first) + (f"-{spelled(last)}" if "-" in kind else "")
    if text.upper().endswith("-SUN"):
        text = str(first)
        last = high if "/" in kind else first
    return Part(text + (f"/{step}" if "/" in kind else ""), frozenset(range(first, last + 1, step)))


def fields(low: int, high: int, names: list[str] | None = None, often: int | None = None) -> st.SearchStrategy[Part]:
    """Return a strategy for a field: a list of one to three items."""
    return st.lists(items(low, high, names or [], often or high), min_size=1, max_size=3).map(_joined)


def _joined(parts: list[Part]) -> Part:
    values = frozenset(value for part in parts for value in part.values)
    return Part(",".join(part.text for part in parts), values)


ANY_DAY = st.just(Part("*", frozenset(range(1, 32))))
CRONTABS = st.builds(
    Crontab,
    minute=fields(0, 59),
    hour=fields(0, 23, often=4) | fields(0, 23) | st.just(Part("*", frozenset(range(24)))),
    day=ANY_DAY | ANY_DAY | fields(1, 31),
    month=st.just(Part("*", frozenset(range(1, 13)))) | fields(1, 12, MONTHS),
    weekday=st.just(Part("*", frozenset(range(7)))) | fields(0, 7, WEEKDAYS),
)


def runs(plan: Plan, zone: ZoneInfo, start: datetime, end: datetime, *, step: timedelta = MINUTE) -> Iterator[datetime]:
    """Yield the minutes, from `start` to `end` in UTC, at which Debian's cron runs a job.

    With another `step` it looks at the clock as often, and so finds seconds.
    """
    virtual = shown(start, zone) - step
    moment = start
    while moment <= end:
        wall = shown(moment, zone)
        jump = wall - virtual - step
        if abs(jump) > THREE_HOURS:
            virtual = wall
            due = plan.matches(wall)
        elif plan.wildcard:
            virtual = max(virtual, wall)
            due = plan.matches(wall)
        else:
            due = False
            while virtual < wall:
                virtual += step
                due = due or plan.matches(virtual)
        if due:
            yield moment
        moment += step


@lru_cache(maxsize=100_000)
def shown(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the naive local time of a zone; the two passes of a repeated hour look the same."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


@cache
def shifts(zone: ZoneInfo, year: int) -> tuple[datetime, ...]:
    """Return the minutes of a year at which the clocks of a zone jump."""
    days = [datetime(year, 1, 1, tzinfo=UTC) + DAY * day for day in range(365)]
    return tuple(_shift(day, zone) for day in days if offset(day, zone) != offset(day + DAY, zone))


def _shift(day: datetime, zone: ZoneInfo) -> datetime:
    minutes = (day + MINUTE * minute for minute in range(1, 1_441))
    return next(moment for moment in minutes if offset(moment, zone) != offset(day, zone))


def offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    """Return the UTC offset of a zone at a moment."""
    return moment.astimezone(zone).utcoffset()
