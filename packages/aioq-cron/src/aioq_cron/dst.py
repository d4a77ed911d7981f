"""Finds the shifts of a zone's clocks, and applies the daylight-saving rules of Debian's cron to them.

A wildcard expression follows the wall clock: it fires in both passes of a repeated hour, and not
in a skipped hour. A fixed-time expression fires in the first pass only. It makes up for skipped
times once, at the first moment after the gap. A shift of more than three hours is not daylight
saving: an expression then makes up for nothing and fires in both passes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from aioq_cron.days import CalendarStepper

__all__ = ["Shift", "ZonedStepper", "in_utc", "shift_at", "shifts_between", "wall_time"]

_ZERO = timedelta(0)
_SECOND = timedelta(seconds=1)
_TICK = timedelta(microseconds=1)
_LARGEST_DAYLIGHT_SHIFT = timedelta(hours=3)
_STRIDE = timedelta(hours=3)
"""Distance between two offsets that are compared: shorter than any zone keeps an offset."""

_CALENDAR_START = datetime.min.replace(tzinfo=UTC)
_CALENDAR_END = datetime.max.replace(tzinfo=UTC)
_FIRST_IN_ALL_ZONES = datetime.min.replace(tzinfo=UTC) + timedelta(days=2)
_LAST_IN_ALL_ZONES = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)
"""Between these two, every instant has a wall time in every zone."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A moment at which the clocks of a zone are put forward or back."""

    at: datetime
    """In UTC."""
    before: timedelta
    """Offset from UTC until then."""
    after: timedelta
    """Offset from UTC from then on."""

    @property
    def forward(self) -> bool:
        """Whether wall time is skipped; it is repeated otherwise."""
        return self.after > self.before

    @property
    def start(self) -> datetime:
        """The first wall time that is skipped or repeated."""
        return self._wall + min(self.before, self.after)

    @property
    def end(self) -> datetime:
        """The first wall time after the skipped or repeated ones."""
        return self._wall + max(self.before, self.after)

    @property
    def is_daylight_saving(self) -> bool:
        """Whether the shift is daylight saving. Larger shifts, such as a change of date, are corrections."""
        return abs(self.after - self.before) <= _LARGEST_DAYLIGHT_SHIFT

    @property
    def _wall(self) -> datetime:
        return self.at.replace(tzinfo=None)


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
        # A repeated wall time does not say which pass it belongs to; the instant does.
        if instant < shift.at:
            if found := self._until_end(shift, wall):
                return _utc(found, shift.before)
            # The second pass repeats all of it, however far the first one has come.
            wall = shift.start - _TICK
        if self.fires_in_second_pass(shift) and (found := self._until_end(shift, wall)):
            return _utc(found, shift.after)
        # The search is exclusive, and the first wall time after the shift may match.
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
            # The time before `found` was not repeated, so the first pass is still to come.
            if not shift.forward:
                return _utc(found, shift.before)
            # Once, however many matches are in the gap: a fixed time means a job per day, not per match.
            if self.makes_up_for(shift):
                return shift.at
            wall = shift.end - _TICK
        return None

    def _until_end(self, shift: Shift, wall: datetime) -> datetime | None:
        found = self._calendar.next_after(wall)
        return found if found is not None and found < shift.end else None


def _utc(wall: datetime, offset: timedelta) -> datetime:
    return (wall - offset).replace(tzinfo=UTC)


def in_utc(instant: object) -> datetime:
    """Return an aware datetime in UTC, held within the years 1 to 9999.

    Raises:
        TypeError: `instant` is not a datetime.
        ValueError: It is naive, so it names no single moment.
    """
    if not isinstance(instant, datetime):
        raise TypeError(f"expected an aware datetime, got {instant!r}")
    if instant.utcoffset() is None:
        raise ValueError(f"{instant!r} has no time zone; use an aware datetime such as datetime.now(timezone.utc)")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        # The instant is outside of the calendar in UTC, by less than a day. No tick lies there.
        return _CALENDAR_START if instant.year == 1 else _CALENDAR_END


def wall_time(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return what the clocks of `zone` show at `instant`, as a naive datetime."""
    try:
        return instant.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        # West of Greenwich the first hours of the year 1 have no wall time.
        if instant.year > 1:
            raise
        return datetime.min


def shift_at(wall: datetime, zone: ZoneInfo) -> Shift | None:
    """Return the shift that skips or repeats a wall time, None when it comes exactly once."""
    # zoneinfo answers with both offsets of a skipped or repeated time, depending on `fold`.
    before, after = _offset(wall, zone, fold=0), _offset(wall, zone, fold=1)
    if before == after:
        return None
    # A skipped or repeated time stands for two instants, and the shift lies between them. This is the earlier one.
    earliest = wall.replace(microsecond=0, tzinfo=UTC) - max(before, after)
    return Shift(_transition(earliest, earliest + abs(after - before), before, zone), before, after)


def shifts_between(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[Shift]:
    """Yield the shifts of a zone in [start, end), both in UTC, in order.

    A change of the zone's rules that leaves its offset alone is not a shift.
    """
    for year in range(start.year, end.year + 1):
        yield from (shift for shift in _shifts_of(zone, year) if start <= shift.at < end)


@lru_cache(maxsize=4_096)
def _shifts_of(zone: ZoneInfo, year: int) -> tuple[Shift, ...]:
    """Return the shifts of one year of UTC. Cached, because thousands of entries share a zone."""
    start = datetime(year, 1, 1, tzinfo=UTC)
    end = start.replace(year=year + 1) if year < MAXYEAR else _LAST_IN_ALL_ZONES
    # From just before the year: a shift in its very first moment belongs to it.
    return tuple(_search_shifts(zone, max(start, _FIRST_IN_ALL_ZONES) - _TICK, min(end, _LAST_IN_ALL_ZONES) - _TICK))


def _search_shifts(zone: ZoneInfo, moment: datetime, last: datetime) -> Iterator[Shift]:
    before = _offset_at(moment, zone)
    while moment < last:
        earlier, moment = moment, min(moment + _STRIDE, last)
        if (after := _offset_at(moment, zone)) != before:
            yield Shift(_transition(earlier.replace(microsecond=0), moment, before, zone), before, after)
            before = after


def _transition(start: datetime, end: datetime, before: timedelta, zone: ZoneInfo) -> datetime:
    """Return the first whole second in (start, end] at which the offset differs from `before`.

    zoneinfo does not publish its transitions, so this bisects for the change of the offset.
    """
    seconds = range(int((end - start) / _SECOND) + 1)
    passed = bisect_left(seconds, True, key=lambda passed: _offset_at(start + passed * _SECOND, zone) != before)
    return start + passed * _SECOND


def _offset_at(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or _ZERO


def _offset(wall: datetime, zone: ZoneInfo, *, fold: int) -> timedelta:
    return zone.utcoffset(wall.replace(tzinfo=zone, fold=fold)) or _ZERO
