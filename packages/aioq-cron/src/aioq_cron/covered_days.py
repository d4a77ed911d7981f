"""Finds the days on which one expression excludes every tick of another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from aioq.cron.schedule import Schedule
from aioq_cron.days import SEARCH_YEARS, DayStepper, day_stepper
from aioq_cron.expression import CronExpression
from aioq_cron.fields import CronFields
from aioq_cron.parser import parse_fields

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
    if not isinstance(schedule, CronExpression) or not isinstance(excluded, CronExpression):
        return None
    ours, theirs = parse_fields(schedule.expression), parse_fields(excluded.expression)
    # Only expressions with the same rule for clock changes fire at the same instants on the day of a change.
    if schedule.tz != excluded.tz or ours.wildcard != theirs.wildcard or not _has_times(theirs, ours):
        return None
    return CoveredDays(day_stepper(ours), day_stepper(theirs), schedule.tz)


def _has_times(fields: CronFields, of: CronFields) -> bool:
    return set(fields.hours) >= set(of.hours) and set(fields.minutes) >= set(of.minutes)


def _first_from(days: DayStepper | None, day: date) -> date | None:
    return day if days is None else days.first_from(day)
