"""Counts the ticks of an expression without visiting each: by whole days, except around clock changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

from aioq.cron.steps import INSTANT
from aioq_cron.calendar.stepper import wall_time
from aioq_cron.describe.clock_changes import shifts_between

__all__ = ["count_ticks"]

_FIRST = datetime.min.replace(tzinfo=UTC) + INSTANT
_LAST = datetime.max.replace(tzinfo=UTC)
_MARGIN = timedelta(days=3)
"""More than twice the largest shift of a zone, which is a day."""


class CountingStepper(Protocol):
    """Counts matching moments on a clock that is never put forward or back."""

    def count(self, start: datetime, end: datetime) -> int:
        """Return the number of matching moments in [start, end), both naive."""
        ...


def count_ticks(
    calendar: CountingStepper, zone: tzinfo, span: tuple[datetime, datetime], visit: Callable[[datetime, datetime], int]
) -> int:
    """Return the number of ticks of a calendar in a zone, in a half-open span of UTC.

    `visit` counts the ticks of such a span one by one. It gets the times that a clock change skips or repeats.
    """
    at, end = max(span[0], _FIRST), span[1]
    total = 0
    for first, last in _around_shifts(zone, at, end):
        total += _between_shifts(calendar, zone, at, min(first, end))
        total += visit(max(at, first), min(last, end))
        at = max(at, last)
    return total + _between_shifts(calendar, zone, at, end)


def _around_shifts(zone: tzinfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the spans of UTC in which wall times are skipped or repeated, for all shifts that may touch a span."""
    earliest = start - _MARGIN if start - _FIRST > _MARGIN else _FIRST
    latest = end + _MARGIN if _LAST - end > _MARGIN else _LAST
    for shift in shifts_between(zone, earliest, latest):
        width = abs(shift.after - shift.before)
        yield shift.at - width, shift.at + width


def _between_shifts(calendar: CountingStepper, zone: tzinfo, start: datetime, end: datetime) -> int:
    if start >= end:
        return 0
    # Without a shift, the clocks show each wall time of the span once.
    return calendar.count(_wall(start, zone), _wall(end, zone))


def _wall(instant: datetime, zone: tzinfo) -> datetime:
    try:
        # The very first wall time is no tick: nothing is before it, and a search begins after a moment.
        return max(wall_time(instant, zone), datetime.min + INSTANT)
    except OverflowError:
        return datetime.max
