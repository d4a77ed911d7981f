"""Finds the days on which one expression excludes every tick of another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from aioq.cron.schedule import Schedule
from aioq_cron.days import SEARCH_YEARS, DayStepper
from aioq_cron.stepper import FieldStepper, ZonedCalendar, ZonedSchedule

__all__ = ["CoveredDays", "covered_days"]

_DAY = timedelta(days=1)
_SEARCH = timedelta(days=366 * SEARCH_YEARS)


@dataclass(frozen=True, slots=True)
class CoveredDays:
    """The days of an expression, and those of another one that has all its times of day."""

    days: DayStepper | None
    """None if every day matches."""
    excluded: DayStepper | None
    zone: tzinfo

    def first_uncovered(self, day: date) -> date | None:
        """Return the first day from `day` on that only the first expression has; None if there is none."""
        # Dates and weekdays repeat within that time, so a longer search would find nothing.
        last = day + _SEARCH if day < date.max - _SEARCH else date.max
        while (own := _first_from(self.days, day)) is not None and own <= last:
            if _first_from(self.excluded, own) != own:
                return own
            if own == date.max:
                return None
            day = own + _DAY
        return None


def covered_days(schedule: Schedule, excluded: Schedule) -> CoveredDays | None:
    """Return the days of two expressions; None if `excluded` may leave a tick of `schedule` on one of its days."""
    if not isinstance(schedule, ZonedSchedule) or not isinstance(excluded, ZonedSchedule):
        return None
    ours, theirs = schedule.zoned, excluded.zoned
    if not _same_rules(ours, theirs):
        return None
    own, others = ours.calendar, theirs.calendar
    if not isinstance(own, FieldStepper) or not isinstance(others, FieldStepper) or not _has_times(others, own):
        return None
    return CoveredDays(own.days, others.days, ours.zone)


def _same_rules(one: ZonedCalendar, other: ZonedCalendar) -> bool:
    """Return whether two expressions with the same times fire at the same instants, also when clocks change."""
    return one.zone == other.zone and one.wildcard == other.wildcard


def _has_times(stepper: FieldStepper, of: FieldStepper) -> bool:
    return set(stepper.hours) >= set(of.hours) and set(stepper.minutes) >= set(of.minutes)


def _first_from(days: DayStepper | None, day: date) -> date | None:
    return day if days is None else days.first_from(day)
