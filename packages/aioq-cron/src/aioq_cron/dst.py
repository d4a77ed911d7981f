"""Applies the daylight-saving rules of Debian's cron to wall times that a zone skips or repeats.

A wildcard expression follows the wall clock: it fires in both passes of a repeated hour, and not
in a skipped hour. A fixed-time expression fires in the first pass only. It makes up for skipped
times once, at the first moment after the gap. A shift of more than three hours is not daylight
saving: an expression then makes up for nothing and fires in both passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from aioq_cron.days import CalendarStepper
from aioq_cron.zones import Shift, shift_at, wall_time

__all__ = ["ZonedStepper"]

_TICK = timedelta(microseconds=1)


class ZonedStepper:
    """Steps from instant to instant in a zone, given a stepper for its wall time."""

    def __init__(self, calendar: CalendarStepper, zone: ZoneInfo, *, wildcard: bool) -> None:
        self._calendar = calendar
        self.zone = zone
        self._wildcard = wildcard

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first instant to fire at strictly after `instant`, both in UTC.

        Raises:
            OverflowError: The calendar ends first.
        """
        wall = wall_time(instant, self.zone)
        shift = shift_at(wall, self.zone)
        if shift is None:
            return self._onwards(wall)
        if instant < shift.at:
            if found := self._until_end(shift, wall):
                return _utc(found, shift.before)
            wall = shift.start - _TICK
        if self.fires_in_second_pass(shift) and (found := self._until_end(shift, wall)):
            return _utc(found, shift.after)
        return self._onwards(shift.end - _TICK)

    def touched_by(self, shift: Shift) -> Iterator[datetime]:
        """Yield the matching wall times that a shift skips or repeats, naive."""
        wall = shift.start - _TICK
        while found := self._until_end(shift, wall):
            yield found
            wall = found

    def makes_up_for(self, shift: Shift) -> bool:
        """Whether it fires at the end of a gap for what was skipped."""
        return shift.is_daylight_saving and not self._wildcard

    def fires_in_second_pass(self, shift: Shift) -> bool:
        """Whether the expression fires in the second pass of a repeated time, too."""
        return self._wildcard or not shift.is_daylight_saving

    def _onwards(self, wall: datetime) -> datetime | None:
        """Return the first instant whose wall time is after `wall`. `wall` is not a repeated time."""
        while found := self._calendar.next_after(wall):
            shift = shift_at(found, self.zone)
            if shift is None:
                return found.replace(tzinfo=self.zone).astimezone(UTC)
            if not shift.forward:
                return _utc(found, shift.before)
            if self.makes_up_for(shift):
                return shift.at
            wall = shift.end - _TICK
        return None

    def _until_end(self, shift: Shift, wall: datetime) -> datetime | None:
        found = self._calendar.next_after(wall)
        return found if found is not None and found < shift.end else None


def _utc(wall: datetime, offset: timedelta) -> datetime:
    return (wall - offset).replace(tzinfo=UTC)
