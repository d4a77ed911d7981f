"""A schedule between two moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeGuard
from zoneinfo import ZoneInfo

from aioq.cron.schedule import ClockChange, ExplainedSchedule, Schedule
from aioq.cron.steps import INSTANT

__all__ = ["Bounded", "BoundedExplained", "bounded"]


def bounded(schedule: Schedule, start: datetime | None, end: datetime | None) -> Schedule:
    """Return a schedule with only those ticks that are neither before `start` nor after `end`.

    What else the schedule can say of itself it still says.
    """
    if start is None and end is None:
        return schedule
    start, end = (moment and moment.astimezone(UTC) for moment in (start, end))
    return BoundedExplained(schedule, start, end) if _is_explained(schedule) else Bounded(schedule, start, end)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A schedule with a first and a last moment, both of which may be ticks."""

    schedule: Schedule
    start: datetime | None = None
    end: datetime | None = None

    @property
    def tz(self) -> str | ZoneInfo | None:
        """The zone of the schedule, if it has one."""
        return getattr(self.schedule, "tz", None)

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first moment strictly after `instant` that lies within the bounds."""
        if self.start is not None and instant < self.start:
            instant = self.start - INSTANT
        moment = self.schedule.next_after(instant)
        return None if moment is None or (self.end is not None and moment > self.end) else moment

    def __str__(self) -> str:
        return str(self.schedule)


@dataclass(frozen=True, slots=True)
class BoundedExplained(Bounded):
    """One that can say itself in words."""

    schedule: ExplainedSchedule

    def in_words(self) -> str:
        """Return the words of the schedule, and from when and until when."""
        since = "" if self.start is None else f", from {_shown(self.start)}"
        until = "" if self.end is None else f", until {_shown(self.end)}"
        return f"{self.schedule.in_words()}{since}{until}"

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return the clock changes that the schedule meets within its bounds."""
        start = start if self.start is None else max(start, self.start)
        end = end if self.end is None else min(end, self.end)
        return self.schedule.clock_changes(start, end) if start < end else []


def _shown(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds" if moment.second else "minutes")


def _is_explained(schedule: Schedule) -> TypeGuard[ExplainedSchedule]:
    return hasattr(schedule, "in_words") and hasattr(schedule, "clock_changes")
