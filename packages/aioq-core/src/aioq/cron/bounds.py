"""Limits a schedule to the time between two moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TypeGuard

from aioq.cron.schedule import ClockChange, ExplainedSchedule, Schedule
from aioq.cron.steps import INSTANT

__all__ = ["Bounded", "BoundedExplained", "bounded"]


def bounded(schedule: Schedule, start: datetime | None, end: datetime | None) -> Schedule:
    """Return a schedule with the ticks from `start` to `end`, both included.

    If the schedule can explain itself, so can the result.
    """
    if start is None and end is None:
        return schedule
    start, end = (moment and moment.astimezone(UTC) for moment in (start, end))
    return BoundedExplained(schedule, start, end) if _is_explained(schedule) else Bounded(schedule, start, end)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A schedule with a first and a last moment, both of them included."""

    schedule: Schedule
    start: datetime | None = None
    end: datetime | None = None

    @property
    def tz(self) -> str | tzinfo | None:
        """The zone of the schedule; None if it has none."""
        return getattr(self.schedule, "tz", None)

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first moment strictly after `instant` that is within the bounds."""
        if self.start is not None and instant < self.start:
            # `start` may be a tick itself, and `next_after` excludes the moment that it gets.
            instant = self.start - INSTANT
        moment = self.schedule.next_after(instant)
        return None if moment is None or (self.end is not None and moment > self.end) else moment

    def __str__(self) -> str:
        return str(self.schedule)


@dataclass(frozen=True, slots=True)
class BoundedExplained(Bounded):
    """A schedule with bounds that can explain itself."""

    schedule: ExplainedSchedule

    def in_words(self) -> str:
        """Return the words of the schedule, followed by its bounds."""
        since = "" if self.start is None else f", from {_format(self.start)}"
        until = "" if self.end is None else f", until {_format(self.end)}"
        return f"{self.schedule.in_words()}{since}{until}"

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return the clock changes within the bounds that affect the schedule."""
        start = start if self.start is None else max(start, self.start)
        end = end if self.end is None else min(end, self.end)
        return self.schedule.clock_changes(start, end) if start < end else []


def _format(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds" if moment.second else "minutes")


def _is_explained(schedule: Schedule) -> TypeGuard[ExplainedSchedule]:
    return hasattr(schedule, "in_words") and hasattr(schedule, "clock_changes")
