"""Finds the days and hours in which one expression excludes every tick of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from aioq.cron.schedule import Schedule
from aioq_cron.calendar.days import SEARCH_YEARS, DaysInYears, DayStepper
from aioq_cron.calendar.fields import EACH_MINUTE
from aioq_cron.calendar.stepper import (
    CALENDAR_END,
    CalendarStepper,
    FieldStepper,
    SecondStepper,
    ZonedCalendar,
    ZonedSchedule,
    wall_time,
)

__all__ = ["CoveredDays", "covered_days"]

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_SEARCH = timedelta(days=366 * SEARCH_YEARS)


@dataclass(frozen=True, slots=True)
class CoveredDays:
    """The days of an expression, and the minutes of another one that has all its minutes and seconds of an hour."""

    days: DayStepper | None
    """None if every day matches."""
    excluded: FieldStepper
    zone: tzinfo
    whole: bool
    """Whether the other one has all its hours, too."""

    def first_uncovered(self, day: date) -> date | None:
        """Return the first day from `day` on that only the first expression has; None if there is none."""
        excluded = self.excluded.days
        known = date(excluded.years[-1], 12, 31) if isinstance(excluded, DaysInYears) else day
        # Dates and weekdays repeat within that time, so a longer search would find nothing.
        last = start + _SEARCH if (start := max(day, known)) < date.max - _SEARCH else date.max
        while (own := _first_from(self.days, day)) is not None and own <= last:
            if _first_from(excluded, own) != own:
                return own
            if own == date.max:
                return None
            day = own + _DAY
        return None

    def end_of_hour(self, tick: datetime) -> datetime:
        """Return the last instant of the hour of an excluded tick: until then all ticks are excluded, too.

        Return the tick itself if it makes up for a gap, or if the clocks change within the hour.
        """
        if tick > CALENDAR_END - _HOUR or not self.excluded.matches(wall := wall_time(tick, self.zone)):
            return tick
        last = wall.replace(minute=59, second=59, microsecond=999_999)
        end = tick + (last - wall)
        return end if wall_time(end, self.zone) == last else tick


def covered_days(schedule: Schedule, excluded: Schedule) -> CoveredDays | None:
    """Return the days of two expressions; None if `excluded` may leave a tick of `schedule` in one of its hours."""
    if not isinstance(schedule, ZonedSchedule) or not isinstance(excluded, ZonedSchedule):
        return None
    ours, theirs = schedule.zoned, excluded.zoned
    own, others = _times(ours.calendar), _times(theirs.calendar)
    if own is None or others is None or not _same_rules(ours, theirs):
        return None
    if not (set(others[1]) >= set(own[1]) and set(others[0].minutes) >= set(own[0].minutes)):
        return None
    return CoveredDays(own[0].days, others[0], ours.zone, set(others[0].hours) >= set(own[0].hours))


def _times(calendar: CalendarStepper) -> tuple[FieldStepper, Sequence[int]] | None:
    """Return the minutes of a calendar, and its seconds in each of them."""
    if isinstance(calendar, SecondStepper):
        return calendar.minutes, calendar.seconds
    return (calendar, EACH_MINUTE) if isinstance(calendar, FieldStepper) else None


def _same_rules(one: ZonedCalendar, other: ZonedCalendar) -> bool:
    """Return whether two expressions with the same times fire at the same instants, also when clocks change."""
    return one.zone == other.zone and one.wildcard == other.wildcard


def _first_from(days: DayStepper | None, day: date) -> date | None:
    return day if days is None else days.first_from(day)
