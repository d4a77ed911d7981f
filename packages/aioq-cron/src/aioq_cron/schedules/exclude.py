"""Dates, or ticks of a schedule, that `Except` excludes from another schedule."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import cast

from aioq.cron.schedule import Schedule
from aioq.cron.zones import zone_text
from aioq_cron.calendar.covered_days import CoveredDays, covered_days
from aioq_cron.calendar.stepper import CALENDAR_END, wall_time
from aioq_cron.describe.words import shortened
from aioq_cron.schedules.parts import canonical_label, label, words_of, zone_of
from aioq_cron.zones import find_zone

__all__ = ["MAX_EXCLUDED_IN_A_ROW", "ExcludedDates", "ExcludedTicks", "as_dates", "exclusion"]

MAX_EXCLUDED_IN_A_ROW = 10_000
"""Excluded days, or ticks that cannot be skipped by whole days, in a row after which the search ends."""

_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_MAX_NAMED_DATES = 4
_EMPTY = "an empty set"
_COPIED = (frozenset, list, set, tuple)


@dataclass(frozen=True, slots=True)
class ExcludedDates:
    """Whole days on the calendar of a zone."""

    dates: Container[date]
    zone: tzinfo

    def passes(self, tick: datetime) -> datetime | None:
        """Return None if a tick is not excluded, else an instant after which the search can go on."""
        day = wall_time(tick, self.zone).date()
        if day not in self.dates:
            return None
        # The search goes on after the whole day: an entry of every minute would otherwise take 1,440 steps.
        return tick if day == date.max else _before(day + _DAY, self.zone, tick)

    def text(self, zone: tzinfo | None) -> str:
        """Return a text that identifies the exclusion; names its zone if that is not `zone`."""
        days = _listed(self.dates)
        text = _container(self.dates) if days is None else " ".join(days) or _EMPTY
        return text if zone == self.zone else f"{text} [{zone_text(self.zone)}]"

    @property
    def canonical(self) -> str:
        """The exclusion in canonical form, with its zone."""
        return self.text(None)

    def words(self, zone: tzinfo | None) -> str:
        """Return the dates in words; names their zone if that is not `zone`."""
        days = _listed(self.dates)
        text = (
            f"the dates of {_container(self.dates)}" if days is None else shortened(days or [_EMPTY], _MAX_NAMED_DATES)
        )
        return f"on {text}" if zone == self.zone else f"on {text} in {zone_text(self.zone)}"


@dataclass(frozen=True, slots=True)
class ExcludedTicks:
    """The ticks of a schedule."""

    schedule: Schedule
    covered: CoveredDays | None = field(default=None, repr=False, compare=False)
    """The days or hours that can be skipped whole; None if the ticks must be tried one by one."""

    def passes(self, tick: datetime) -> datetime | None:
        """Return None if a tick is not excluded, else an instant after which the search can go on."""
        # `next_after` is exclusive: a schedule that fires at the tick itself says so when asked a moment earlier.
        if self.schedule.next_after(tick - _TICK) != tick:
            return None
        if self.covered is None:
            return tick
        return self._after_covered_days(self.covered, tick) if self.covered.whole else self.covered.end_of_hour(tick)

    def _after_covered_days(self, covered: CoveredDays, tick: datetime) -> datetime:
        today = wall_time(tick, covered.zone).date()
        day = covered.first_uncovered(today)
        if day is None:
            return CALENDAR_END
        # A tick that is excluded on a day that is not covered makes up for a gap that began on the day before.
        return tick if day == today else _before(day, covered.zone, tick)

    def text(self, zone: tzinfo | None) -> str:
        """Return a text that identifies the exclusion; names its zone if that is not `zone`."""
        return label(self.schedule, zone)

    @property
    def canonical(self) -> str:
        """The schedule in canonical form, with its zone."""
        return canonical_label(self.schedule)

    def words(self, zone: tzinfo | None) -> str:
        """Return the ticks in words; names their zone if that is not `zone`."""
        return words_of(self.schedule, zone)


def _before(day: date, zone: tzinfo, tick: datetime) -> datetime:
    """Return the last instant before a day begins in a zone, but none before `tick`."""
    # A midnight that is skipped has two readings, and the earlier one leaves no instant out.
    start = min(datetime.combine(day, time(fold=fold), zone).astimezone(UTC) for fold in (0, 1))
    # At a midnight that is repeated, its first pass may be before the tick. The search must not go back.
    return max(tick, start - _TICK)


def exclusion(excluded: object, tz: str | tzinfo | None, schedule: Schedule) -> ExcludedDates | ExcludedTicks:
    """Return the exclusion of dates in a zone, or of the ticks of a schedule, from `schedule`.

    Raises:
        TypeError, ValueError: As in `Except`.
    """
    if not isinstance(excluded, Schedule):
        return ExcludedDates(as_dates(excluded), find_zone(tz if tz is not None else zone_of(schedule)))
    if tz is not None:
        raise ValueError(f"tz is the zone of dates, and {excluded!r} has its own; leave tz out")
    return ExcludedTicks(excluded, covered_days(schedule, excluded))


def as_dates(excluded: object, wanted: str = "Except excludes a container of dates or a schedule") -> Container[date]:
    """Return a container of dates; a built-in one as a frozenset, which cannot change afterwards.

    Raises:
        TypeError: It is not a container, or it holds something else than dates.
    """
    if isinstance(excluded, str | bytes) or not isinstance(excluded, Container):
        raise TypeError(f"{wanted}, got {excluded!r}")
    # A subclass of dict is not copied: a calendar of `holidays` is one, and adds years when they are asked for.
    if not isinstance(excluded, _COPIED) and type(cast("object", excluded)) is not dict:
        return cast("Container[date]", excluded)
    days = frozenset(cast("Iterable[object]", excluded))
    for day in days:
        # A datetime is an instance of date, but equals no date.
        if not isinstance(day, date) or isinstance(day, datetime):
            raise TypeError(f"excluded days are whole: give datetime.date objects, got {day!r}")
    return cast("frozenset[date]", days)


def _listed(dates: Container[date]) -> list[str] | None:
    return [str(day) for day in sorted(cast("frozenset[date]", dates))] if isinstance(dates, frozenset) else None


def _container(dates: object) -> str:
    """Return a text for a container that does not change when it is queried: those of `holidays` grow then."""
    kind = type(dates)
    if kind.__repr__ is not object.__repr__ and not issubclass(kind, dict):
        return repr(dates)
    facts: dict[str, object] = getattr(dates, "__dict__", {})
    facts_text = [
        f"{name}={fact!r}" for name, fact in sorted(facts.items()) if name[0] != "_" and isinstance(fact, str)
    ]
    return f"{kind.__module__}.{kind.__qualname__}({', '.join(facts_text)})"
