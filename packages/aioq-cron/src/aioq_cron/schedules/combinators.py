"""Combines schedules: those that one of several has, those that all have, and those of one without others."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import ClassVar, Self

from aioq.cron import ClockChange
from aioq.cron.schedule import Schedule
from aioq.cron.steps import INSTANT
from aioq.cron.zones import zone_text
from aioq_cron.calendar.stepper import in_utc
from aioq_cron.schedules.exclude import MAX_EXCLUDED_IN_A_ROW, ExcludedDates, ExcludedTicks, exclusion
from aioq_cron.schedules.parts import (
    canonical_label,
    changes_of,
    checked,
    common_zone,
    label,
    lints_of,
    merged_changes,
    named_part,
    only_runs,
    words_of,
    zone_of,
)
from aioq_cron.schedules.queries import ScheduleQueries, fires_at

__all__ = ["MAX_APART", "Combinable", "Except", "Intersection", "Union"]

MAX_APART = 10_000
"""Moments in a row that not all parts of an intersection have, after which the search ends."""


class Combinable(ScheduleQueries):
    """A schedule with operators: `a | b` is a Union, `a & b` an Intersection, `a - b` an Except.

    The other operand is a schedule of any class; on the right of `-` also a container of dates.
    """

    __slots__ = ()

    def __or__(self: Schedule, other: Schedule) -> Union:
        return Union(*_parts(self, Union), *_parts(other, Union))

    def __ror__(self: Schedule, other: Schedule) -> Union:
        return Union(*_parts(other, Union), *_parts(self, Union))

    def __and__(self: Schedule, other: Schedule) -> Intersection:
        return Intersection(*_parts(self, Intersection), *_parts(other, Intersection))

    def __rand__(self: Schedule, other: Schedule) -> Intersection:
        return Intersection(*_parts(other, Intersection), *_parts(self, Intersection))

    def __sub__(self: Schedule, other: Container[date] | Schedule) -> Except:
        return Except(self, other)

    def __rsub__(self: Schedule, other: Schedule) -> Except:
        return Except(other, self)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class _Combination(Combinable):
    """Several schedules that are one: what `Union` and `Intersection` share."""

    schedules: tuple[Schedule, ...]

    _joint: ClassVar[str]
    _joint_in_words: ClassVar[str]

    def __init__(self, *schedules: Schedule) -> None:
        kind = type(self).__name__
        if not schedules:
            raise ValueError(f"{kind} takes at least one schedule, got none")
        object.__setattr__(self, "schedules", tuple(checked(schedule, kind) for schedule in schedules))

    def named(self, name: str) -> Self:
        """Return it with the parts that the entry with this name has; see `CronExpression`."""
        return type(self)(*(named_part(schedule, name) for schedule in self.schedules))

    @property
    def tz(self) -> tzinfo | None:
        """The zone of all parts that have one; None when these differ, or none has one."""
        return common_zone(self.schedules)

    @property
    def canonical(self) -> str:
        """Its parts in canonical form, each once, in the order of their texts."""
        return self._joint.join(sorted({canonical_label(schedule) for schedule in self.schedules}))

    def in_words(self) -> str:
        """Return when it fires, part by part."""
        return self._joint_in_words.join(words_of(schedule, self.tz) for schedule in self.schedules)

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return the clock changes in [start, end) in the zones of its parts, in order, and what they do to it."""
        return merged_changes(self.schedules, start, end)

    def lints(self, now: datetime) -> list[str]:
        """Return the lints of its parts; see `CronExpression.lints`."""
        return lints_of(self.schedules, now)

    def __str__(self) -> str:
        return self._joint.join(label(schedule, self.tz) for schedule in self.schedules)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.schedules))})"


class Union(_Combination):
    """Fires whenever one of several schedules does; once if several fire at the same moment.

    A value, as far as its parts are: equal to another of equal parts in the same order.

    Args:
        *schedules: At least one: expressions, intervals, combinations, anything with `next_after`.
    Raises:
        TypeError: One of them is not a schedule.
        ValueError: No schedule is given.
    """

    __slots__ = ()

    _joint = " and "
    _joint_in_words = "; and "

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first moment strictly after `instant` at which a part fires, in UTC; None when none does."""
        moments = [schedule.next_after(instant) for schedule in self.schedules]
        return min((moment for moment in moments if moment is not None), default=None)

    def matches(self, instant: datetime) -> bool:
        """Return whether `instant` is a tick, to the microsecond.

        Raises:
            TypeError: `instant` is not a datetime.
            ValueError: It is naive.
        """
        return any(fires_at(schedule, instant) for schedule in self.schedules)


class Intersection(_Combination):
    """Fires when all of several schedules do, at the same moment.

    It takes the same arguments as `Union`, raises the same errors, and is a value likewise.
    """

    __slots__ = ()

    _joint = " if also "
    _joint_in_words = "; but only if also "

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first moment strictly after `instant` that all parts have, in UTC.

        None if there is none, or if 10,000 moments in a row are not those of all parts.
        """
        # Bounded: parts that never meet would block the event loop without end.
        for _ in range(MAX_APART):
            moments = [schedule.next_after(instant) for schedule in self.schedules]
            found = [moment for moment in moments if moment is not None]
            if len(found) < len(moments):
                return None
            if (last := max(found)) == min(found):
                return last
            # Until then at least one part has no moment.
            instant = last - INSTANT
        return None

    def matches(self, instant: datetime) -> bool:
        """Return whether `instant` is a tick, as `Union.matches` does."""
        return all(fires_at(schedule, instant) for schedule in self.schedules)

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return the clock changes in [start, end) in the zones of its parts, in order, and what they do to it."""
        common = "except for runs that not all have"
        return [
            only_runs(change, self.matches, (common, "but not all have any of these runs"))
            for change in super().clock_changes(start, end)
        ]


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Except(Combinable):
    """Fires when a schedule does, except on some dates or when another schedule fires, too.

    It is a value if its parts are values. A set, list or tuple of dates is copied.

    Args:
        schedule: The schedule to exclude something from.
        excluded: Dates: anything that answers `date in excluded`, such as a set, or an object
            of the package `holidays`. Or a schedule, whose ticks are excluded.
        tz: The zone of the dates. None means the zone of the schedule, or UTC if it has none.
    Raises:
        InvalidCronExpression: There is no such zone.
        TypeError: An argument is of the wrong type.
        ValueError: `tz` is given with an excluded schedule, which has a zone of its own.
    """

    schedule: Schedule
    _excluded: ExcludedDates | ExcludedTicks

    def __init__(
        self, schedule: Schedule, excluded: Container[date] | Schedule, *, tz: str | tzinfo | None = None
    ) -> None:
        object.__setattr__(self, "schedule", checked(schedule, "Except"))
        object.__setattr__(self, "_excluded", exclusion(excluded, tz, schedule))

    def named(self, name: str) -> Except:
        """Return it with the parts that the entry with this name has; see `CronExpression`."""
        schedule, excluded = named_part(self.schedule, name), self._excluded
        if isinstance(excluded, ExcludedTicks):
            return Except(schedule, named_part(excluded.schedule, name))
        return Except(schedule, excluded.dates, tz=excluded.zone)

    @property
    def excluded(self) -> Container[date] | Schedule:
        """The excluded dates or schedule."""
        return self._excluded.schedule if isinstance(self._excluded, ExcludedTicks) else self._excluded.dates

    @property
    def tz(self) -> tzinfo | None:
        """The zone of the schedule, or else of the dates; None if neither has one."""
        return zone_of(self.schedule) or (self._excluded.zone if isinstance(self._excluded, ExcludedDates) else None)

    @property
    def canonical(self) -> str:
        """Schedule and exclusion in canonical form."""
        return f"{canonical_label(self.schedule)} except {self._excluded.canonical}"

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first tick strictly after `instant` that is not excluded, in UTC.

        Days and hours in which one expression excludes all ticks of another are skipped whole, if both are in one zone
        and follow the same rule of daylight saving. None if there is no such tick, or if 10,000 days of a container, or
        10,000 ticks that must be tried one by one, are excluded in a row.
        """
        # Bounded: if everything is excluded, the search would block the event loop without end.
        for _ in range(MAX_EXCLUDED_IN_A_ROW):
            tick = self.schedule.next_after(instant)
            if tick is None or (passed := self._excluded.passes(tick)) is None:
                return tick
            instant = passed
        return None

    def matches(self, instant: datetime) -> bool:
        """Return whether `instant` is a tick, to the microsecond.

        Raises:
            TypeError: `instant` is not a datetime.
            ValueError: It is naive.
        """
        return fires_at(self.schedule, instant) and self._keeps(in_utc(instant))

    def in_words(self) -> str:
        """Return when it fires, and when not."""
        return f"{words_of(self.schedule, self.tz)}; but not {self._excluded.words(self.tz)}"

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return the clock changes in [start, end) of its schedule, without the excluded runs."""
        gone = ("except for excluded runs", "but all of these runs are excluded")
        return [only_runs(change, self._keeps, gone) for change in changes_of(self.schedule, start, end)]

    def _keeps(self, tick: datetime) -> bool:
        return self._excluded.passes(tick) is None

    def lints(self, now: datetime) -> list[str]:
        """Return the lints of its parts; see `CronExpression.lints`."""
        excluded = self._excluded
        return lints_of([self.schedule, *([excluded.schedule] if isinstance(excluded, ExcludedTicks) else [])], now)

    def __str__(self) -> str:
        return f"{label(self.schedule, self.tz)} except {self._excluded.text(self.tz)}"

    def __repr__(self) -> str:
        zone = f", tz={zone_text(self._excluded.zone)!r}" if isinstance(self._excluded, ExcludedDates) else ""
        return f"Except({self.schedule!r}, {self.excluded!r}{zone})"


def _parts(schedule: Schedule, kind: type[_Combination]) -> tuple[Schedule, ...]:
    """Return the parts of a schedule of a kind, else the schedule itself: `a | b | c` is one union of three."""
    return schedule.schedules if isinstance(schedule, kind) else (schedule,)
