"""A schedule with some of its ticks left out."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from aioq.cron import ClockChange
from aioq.protocols import Schedule
from aioq_cron.exclusions import Dates, Ticks, as_dates
from aioq_cron.parts import changes_of, checked, label, words_of, zone_of
from aioq_cron.zones import find_zone

__all__ = ["MOST_LEFT_OUT", "Except"]

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
