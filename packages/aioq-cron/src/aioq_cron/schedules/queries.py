"""Answers questions about the ticks of a schedule: the previous one, those in a span of time, and their number."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from aioq.cron.schedule import Schedule
from aioq.cron.steps import INSTANT, latest, step
from aioq_cron.calendar.stepper import in_utc

__all__ = ["MAX_WALKED", "ScheduleQueries", "fires_at"]

MAX_WALKED = 1_000_000
"""Ticks that `count` visits at most, one by one. They take some seconds."""

_CALENDAR_START = datetime.min.replace(tzinfo=UTC)
_FIRST_STRIDE = timedelta(minutes=1)
_WIDENING = 8


class ScheduleQueries:
    """Answers questions about a schedule by its `next_after` alone. Reads no clock."""

    __slots__ = ()

    def previous_before(self: Schedule, instant: datetime) -> datetime | None:
        """Return the last tick strictly before `instant`, in UTC; None if there is none since the year 1.

        The number of steps grows with the logarithm of the time since that tick.

        Raises:
            TypeError: `instant` is not a datetime.
            ValueError: It is naive.
        """
        moment = in_utc(instant)
        if moment == _CALENDAR_START:
            return None
        until, stride = moment - INSTANT, _FIRST_STRIDE
        while True:
            start = until - stride if stride < until - _CALENDAR_START else _CALENDAR_START
            tick = step(self, start)
            if tick is not None and tick <= until:
                return latest(self, tick, until)
            if start == _CALENDAR_START:
                return None
            stride *= _WIDENING

    def matches(self: Schedule, instant: datetime) -> bool:
        """Return whether `instant` is a tick, to the microsecond.

        Raises:
            TypeError: `instant` is not a datetime.
            ValueError: It is naive.
        """
        return _is_tick(self, in_utc(instant))

    def between(self: Schedule, start: datetime, end: datetime) -> Iterator[datetime]:
        """Iterate over the ticks in [start, end), in UTC, in ascending order: `start` counts and `end` does not.

        Empty if `end` is not after `start`.

        Raises:
            TypeError: `start` or `end` is not a datetime.
            ValueError: It is naive.
        """
        return _walk(self, in_utc(start), in_utc(end))

    def count(self: Schedule, start: datetime, end: datetime) -> int:
        """Return the number of ticks in [start, end), as `between` yields them.

        Cron expressions and `Every` compute it. Other schedules visit each tick, a million at most.

        Raises:
            TypeError: `start` or `end` is not a datetime.
            ValueError: It is naive, or there are more than a million ticks to visit.
        """
        return _count(self, in_utc(start), in_utc(end))


def fires_at(schedule: Schedule, instant: datetime) -> bool:
    """Return whether a schedule of any class fires at an instant."""
    return schedule.matches(instant) if isinstance(schedule, ScheduleQueries) else _is_tick(schedule, in_utc(instant))


def _is_tick(schedule: Schedule, moment: datetime) -> bool:
    # `next_after` is exclusive: a schedule that fires at the moment itself says so when asked a moment earlier.
    return moment > _CALENDAR_START and step(schedule, moment - INSTANT) == moment


def _walk(schedule: Schedule, start: datetime, end: datetime) -> Iterator[datetime]:
    tick = step(schedule, start - INSTANT) if start > _CALENDAR_START else step(schedule, start)
    while tick is not None and tick < end:
        yield tick
        tick = step(schedule, tick)


def _count(schedule: Schedule, start: datetime, end: datetime) -> int:
    visited = 0
    for tick in _walk(schedule, start, end):
        if visited == MAX_WALKED:
            raise ValueError(
                f"{schedule} has more than {MAX_WALKED:,} ticks from {start.isoformat()} to {end.isoformat()}, "
                f"and each must be visited; ask for a span that ends by {tick.isoformat()}"
            )
        visited += 1
    return visited
