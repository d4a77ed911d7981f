"""What `Except` leaves out: dates, or the ticks of another schedule."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from aioq.protocols import Schedule
from aioq_cron.listing import shortened
from aioq_cron.parts import label, words_of
from aioq_cron.zones import wall_time

__all__ = ["Dates", "Ticks", "as_dates"]

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
