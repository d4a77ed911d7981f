"""A schedule with some of its ticks left out."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from aioq.cron import ClockChange
from aioq.cron.schedule import Schedule
from aioq_cron.combinators import changes_of, checked, label, words_of, zone_of
from aioq_cron.describe import shortened
from aioq_cron.zones import find_zone, wall_time

__all__ = ["Dates", "Except", "MOST_LEFT_OUT", "Ticks", "as_dates"]

MOST_LEFT_OUT = 10_000
"""Days, or ticks, in a row that are looked through for one that is not left out."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Except:
    """Fires when a schedule does, but not on some dates, or not when another schedule fires too.

    A value, as far as its parts are. A set, list or tuple of dates is copied.

    Args:
        schedule: What to leave something out of.
        excluded: Dates: anything that answers `date in excluded`, such as a set, or an object
            of the package `holidays`. Or a schedule, whose ticks are left out.
        tz: The zone on whose calendar the dates are; the schedule's own when None, or else UTC.
    Raises:
        InvalidCronExpression: There is no such zone.
        TypeError: An argument is of the wrong type.
        ValueError: `tz` is given with a schedule to leave out, which has a zone of its own.
    """

    schedule: Schedule
    _left_out: Dates | Ticks

    def __init__(
        self, schedule: Schedule, excluded: Container[date] | Schedule, *, tz: str | ZoneInfo | None = None
    ) -> None:
        object.__setattr__(self, "schedule", checked(schedule, "Except"))
        object.__setattr__(self, "_left_out", _exclusion(excluded, tz, zone_of(schedule)))

    @property
    def excluded(self) -> Container[date] | Schedule:
        """What is left out."""
        return self._left_out.schedule if isinstance(self._left_out, Ticks) else self._left_out.dates

    @property
    def tz(self) -> ZoneInfo | None:
        """The zone of the schedule, or else that of the dates; None when there is neither."""
        return zone_of(self.schedule) or (self._left_out.zone if isinstance(self._left_out, Dates) else None)

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first moment strictly after `instant` that is not left out, in UTC.

        None when there is none, or none within 10,000 days, or 10,000 ticks of a schedule, that
        are left out in a row.
        """
        for _ in range(MOST_LEFT_OUT):
            tick = self.schedule.next_after(instant)
            if tick is None or (passed := self._left_out.passes(tick)) is None:
                return tick
            instant = passed
        return None

    def in_words(self) -> str:
        """Return when it fires, and when not."""
        return f"{words_of(self.schedule, self.tz)}; but not {self._left_out.words(self.tz)}"

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return what its schedule says of the clock changes in [start, end), less the runs that are left out."""
        return [self._without(change) for change in changes_of(self.schedule, start, end)]

    def _without(self, change: ClockChange) -> ClockChange:
        runs = tuple(run for run in change.runs if self._left_out.passes(run) is None)
        if len(runs) == len(change.runs):
            return change
        left = "except those that are left out" if runs else "but all of that is left out"
        return replace(change, runs=runs, effect=f"{change.effect}, {left}")

    def __str__(self) -> str:
        return f"{label(self.schedule, self.tz)} except {self._left_out.text(self.tz)}"

    def __repr__(self) -> str:
        zone = f", tz={self._left_out.zone.key!r}" if isinstance(self._left_out, Dates) else ""
        return f"Except({self.schedule!r}, {self.excluded!r}{zone})"


def _exclusion(excluded: object, tz: str | ZoneInfo | None, own: ZoneInfo | None) -> Dates | Ticks:
    if not isinstance(excluded, Schedule):
        return Dates(as_dates(excluded), find_zone(tz if tz is not None else own))
    if tz is not None:
        raise ValueError(f"tz is the zone of dates, and {excluded!r} has its own; leave tz out")
    return Ticks(excluded)


_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_MOST_DATES = 4
_NONE = "an empty set"
_COPIED = (frozenset, list, set, tuple)


@dataclass(frozen=True, slots=True)
class Dates:
    """Whole days on the calendar of a zone."""

    dates: Container[date]
    zone: ZoneInfo

    def passes(self, tick: datetime) -> datetime | None:
        """Return None when a tick is not left out, or else a moment before the first that may not be."""
        day = wall_time(tick, self.zone).date()
        if day not in self.dates:
            return None
        if day == date.max:
            return tick
        end = datetime.combine(day + _DAY, time.min, self.zone).astimezone(UTC)
        return max(tick, end - _TICK)

    def text(self, zone: ZoneInfo | None) -> str:
        """Return all that matters, given the zone of the whole."""
        days = _listed(self.dates)
        text = _container(self.dates) if days is None else " ".join(days) or _NONE
        return text if zone == self.zone else f"{text} [{self.zone}]"

    def words(self, zone: ZoneInfo | None) -> str:
        """Return the dates in words, given the zone of the whole."""
        days = _listed(self.dates)
        text = f"the dates of {_container(self.dates)}" if days is None else shortened(days or [_NONE], _MOST_DATES)
        return f"on {text}" if zone == self.zone else f"on {text} in {self.zone}"


@dataclass(frozen=True, slots=True)
class Ticks:
    """The ticks of a schedule."""

    schedule: Schedule

    def passes(self, tick: datetime) -> datetime | None:
        """Return None when a tick is not left out, or else a moment before the first that may not be."""
        return tick if self.schedule.next_after(tick - _TICK) == tick else None

    def text(self, zone: ZoneInfo | None) -> str:
        """Return all that matters, given the zone of the whole."""
        return label(self.schedule, zone)

    def words(self, zone: ZoneInfo | None) -> str:
        """Return the ticks in words, given the zone of the whole."""
        return words_of(self.schedule, zone)


def as_dates(excluded: object) -> Container[date]:
    """Return a container of dates; built-in ones as a frozenset, which nobody changes afterwards.

    Raises:
        TypeError: It is none, or holds something else.
    """
    if isinstance(excluded, str | bytes) or not isinstance(excluded, Container):
        raise TypeError(f"Except leaves out a container of dates or a schedule, got {excluded!r}")
    if not isinstance(excluded, _COPIED) and type(cast("object", excluded)) is not dict:
        return cast("Container[date]", excluded)
    days = frozenset(cast("Iterable[object]", excluded))
    for day in days:
        # A datetime is a date to Python, but equals none.
        if not isinstance(day, date) or isinstance(day, datetime):
            raise TypeError(f"Except leaves out whole days: give datetime.date objects, got {day!r}")
    return cast("frozenset[date]", days)


def _listed(dates: Container[date]) -> list[str] | None:
    return [str(day) for day in sorted(cast("frozenset[date]", dates))] if isinstance(dates, frozenset) else None


def _container(dates: object) -> str:
    """What a container is, whatever it was asked so far: those of the package holidays grow when they are asked."""
    kind = type(dates)
    if kind.__repr__ is not object.__repr__ and not issubclass(kind, dict):
        return repr(dates)
    facts: dict[str, object] = getattr(dates, "__dict__", {})
    told = [f"{name}={fact!r}" for name, fact in sorted(facts.items()) if name[0] != "_" and isinstance(fact, str)]
    return f"{kind.__module__}.{kind.__qualname__}({', '.join(told)})"
