"""Steps from tick to tick of an expression in a zone, by the daylight-saving rules of Debian's cron.

A wildcard expression follows the wall clock: it fires in both passes of a repeated hour, and not
in a skipped hour. A fixed-time expression fires in the first pass only. It makes up for skipped
times once, at the first moment after the gap. A shift of more than three hours is not daylight
saving: an expression then makes up for nothing and fires in both passes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Protocol

from aioq_cron.calendar.days import count_days, day_stepper
from aioq_cron.calendar.fields import EACH_MINUTE, CronFields

__all__ = [
    "CALENDAR_END",
    "CalendarStepper",
    "FieldStepper",
    "SecondStepper",
    "Shift",
    "ZonedCalendar",
    "ZonedSchedule",
    "calendar_of",
    "in_utc",
    "offset_at",
    "shift_between",
    "wall_time",
]

_ZERO = timedelta(0)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # a wall time
_EPOCH_IN_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_DAYLIGHT_SHIFT = timedelta(hours=3)

_CALENDAR_START = datetime.min.replace(tzinfo=UTC)
CALENDAR_END = datetime.max.replace(tzinfo=UTC)


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


class CalendarStepper(Protocol):
    """Finds matching moments on a clock that is never put forward or back."""

    def next_after(self, wall: datetime) -> datetime | None:
        """Return the first matching whole minute or second strictly after `wall`, both naive.

        None when the calendar ends before there is one.
        """
        ...


class FieldStepper:
    """Finds matching minutes: the time of day in the fields, the day with a `DayStepper`."""

    __slots__ = ("_earliest", "days", "hours", "minutes")

    def __init__(self, fields: CronFields) -> None:
        self.minutes = fields.minutes
        self.hours = fields.hours
        self.days = day_stepper(fields)
        self._earliest = time(fields.hours[0], fields.minutes[0])

    def next_after(self, wall: datetime) -> datetime | None:
        """Return the first matching whole minute strictly after `wall`."""
        today = wall.date()
        day = self._first_from(today)
        if day == today:
            if later := self._later_that_day(wall):
                return later
            day = None if today == date.max else self._first_from(today + _DAY)
        return None if day is None else datetime.combine(day, self._earliest)

    def count(self, start: datetime, end: datetime) -> int:
        """Return the number of matching minutes in [start, end), both naive."""
        days = count_days(self.days, start.date(), end.date())
        whole = days * len(self.hours) * len(self.minutes)
        return whole + self._earlier_that_day(end) - self._earlier_that_day(start)

    def _earlier_that_day(self, wall: datetime) -> int:
        if self._first_from(wall.date()) != wall.date():
            return 0
        hours = bisect_left(self.hours, wall.hour)
        if hours == len(self.hours) or self.hours[hours] > wall.hour:
            return hours * len(self.minutes)
        # A minute that has begun is earlier.
        begun = wall.second or wall.microsecond
        minutes = bisect_right(self.minutes, wall.minute) if begun else bisect_left(self.minutes, wall.minute)
        return hours * len(self.minutes) + minutes

    def matches(self, wall: datetime) -> bool:
        """Return whether the minute of `wall` matches."""
        today = wall.date()
        return wall.minute in self.minutes and wall.hour in self.hours and self._first_from(today) == today

    def _first_from(self, day: date) -> date | None:
        return day if self.days is None else self.days.first_from(day)

    def _later_that_day(self, wall: datetime) -> datetime | None:
        hour, minutes = wall.hour, self.minutes
        following = bisect_right(self.hours, hour)
        if following and self.hours[following - 1] == hour:
            place = bisect_right(minutes, wall.minute)
            if place < len(minutes):
                return datetime.combine(wall, time(hour, minutes[place]))
        if following == len(self.hours):
            return None
        return datetime.combine(wall, time(self.hours[following], minutes[0]))


class SecondStepper:
    """Finds matching seconds, within the minutes that match."""

    def __init__(self, minutes: FieldStepper, seconds: Sequence[int]) -> None:
        self.minutes = minutes
        self.seconds = seconds

    def next_after(self, wall: datetime) -> datetime | None:
        """Return the first matching whole second strictly after `wall`."""
        place = bisect_right(self.seconds, wall.second)
        if place < len(self.seconds) and self.minutes.matches(wall):
            return wall.replace(second=self.seconds[place], microsecond=0)
        minute = self.minutes.next_after(wall)
        return None if minute is None else minute.replace(second=self.seconds[0])

    def count(self, start: datetime, end: datetime) -> int:
        """Return the number of matching seconds in [start, end), both naive."""
        minutes = self.minutes.count(*(wall.replace(second=0, microsecond=0) for wall in (start, end)))
        return minutes * len(self.seconds) + self._earlier_that_minute(end) - self._earlier_that_minute(start)

    def _earlier_that_minute(self, wall: datetime) -> int:
        if not self.minutes.matches(wall):
            return 0
        # A second that has begun is earlier.
        return (bisect_right if wall.microsecond else bisect_left)(self.seconds, wall.second)


def calendar_of(fields: CronFields) -> FieldStepper | SecondStepper:
    """Return what finds the moments of an expression."""
    minutes = FieldStepper(fields)
    return minutes if fields.seconds == EACH_MINUTE else SecondStepper(minutes, fields.seconds)


@dataclass(frozen=True, slots=True)
class ZonedCalendar:
    """A calendar whose wall times are those of a zone, and the rules for the shifts of the zone."""

    calendar: CalendarStepper
    zone: tzinfo
    wildcard: bool
    """Whether the expression follows the wall clock: it has no fixed time."""

    def touched_by(self, shift: Shift) -> Iterator[datetime]:
        """Yield the matching wall times that a shift skips or repeats, naive."""
        wall = shift.start - _TICK
        while found := self.before_end(shift, wall):
            yield found
            wall = found

    def before_end(self, shift: Shift, wall: datetime) -> datetime | None:
        """Return the first match after `wall`; None if the skipped or repeated times end first."""
        found = self.calendar.next_after(wall)
        return found if found is not None and found < shift.end else None

    def makes_up_for(self, shift: Shift) -> bool:
        """Whether the expression fires at the end of a gap for what was skipped."""
        return shift.is_daylight_saving and not self.wildcard

    def fires_in_second_pass(self, shift: Shift) -> bool:
        """Whether the expression fires in the second pass of a repeated time, too."""
        return self.wildcard or not shift.is_daylight_saving


class ZonedSchedule:
    """Finds the ticks of a calendar in a zone. The base of `CronExpression`."""

    __slots__ = ("_latest", "zoned")

    def __init__(self, zoned: ZonedCalendar) -> None:
        self.zoned = zoned
        # The latest tick and its wall time, which comes once. Most callers ask for the tick after the latest one.
        self._latest: tuple[datetime, datetime] | None = None

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first tick strictly after `instant`, in UTC.

        None if there is no tick up to the end of the year 9999.

        Raises:
            TypeError: `instant` is not a datetime.
            ValueError: It is naive.
        """
        latest = self._latest  # read once, because another thread may replace it
        try:
            if latest is not None and latest[0] == instant:
                return self._onwards(latest[1])
            return self._next_after(in_utc(instant))
        except OverflowError:
            return None

    def _next_after(self, instant: datetime) -> datetime | None:
        zoned = self.zoned
        wall = wall_time(instant, zoned.zone)
        shift = shift_at(wall, zoned.zone)
        if shift is None:
            return self._onwards(wall)
        # A repeated wall time does not say which pass it belongs to; the instant does.
        if instant < shift.at:
            if found := zoned.before_end(shift, wall):
                return _utc(found, shift.before)
            # The second pass repeats all of it, however far the first one has come.
            wall = shift.start - _TICK
        if zoned.fires_in_second_pass(shift) and (found := zoned.before_end(shift, wall)):
            return _utc(found, shift.after)
        # The search is exclusive, and the first wall time after the shift may match.
        return self._onwards(shift.end - _TICK)

    def _onwards(self, wall: datetime) -> datetime | None:
        """Return the first instant whose wall time is after `wall`. `wall` is not a repeated time."""
        zoned = self.zoned
        while found := zoned.calendar.next_after(wall):
            before, after = _offsets(found, zoned.zone)
            if before == after:
                tick = _utc(found, before)
                self._latest = (tick, found)
                return tick
            shift = _shift_of(found, (before, after), zoned.zone)
            # The time before `found` was not repeated, so the first pass is still to come.
            if not shift.forward:
                return _utc(found, shift.before)
            # Once, however many matches are in the gap: a fixed time means a job per day, not per match.
            if zoned.makes_up_for(shift):
                return shift.at
            wall = shift.end - _TICK
        return None


def _utc(wall: datetime, offset: timedelta) -> datetime:
    # `replace`, with its keywords, takes several times as long as all other steps, here and in `_offsets`.
    return _EPOCH_IN_UTC + (wall - offset - _EPOCH)


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
        return _CALENDAR_START if instant.year == 1 else CALENDAR_END


def wall_time(instant: datetime, zone: tzinfo) -> datetime:
    """Return what the clocks of `zone` show at `instant`, as a naive datetime."""
    try:
        # Without the fold, too: it would go on into the times that are found from this one.
        return instant.astimezone(zone).replace(tzinfo=None, fold=0)
    except OverflowError:
        # West of Greenwich the first hours of the year 1 have no wall time.
        if instant.year > 1:
            raise
        return datetime.min


def shift_at(wall: datetime, zone: tzinfo) -> Shift | None:
    """Return the shift that skips or repeats a wall time, None when it comes exactly once."""
    before, after = _offsets(wall, zone)
    return None if before == after else _shift_of(wall, (before, after), zone)


def _shift_of(wall: datetime, offsets: tuple[timedelta, timedelta], zone: tzinfo) -> Shift:
    # A skipped or repeated time stands for two instants, and the shift lies between them. This is the earlier one.
    earliest = wall.replace(microsecond=0, tzinfo=UTC) - max(offsets)
    return shift_between(earliest, earliest + abs(offsets[1] - offsets[0]), offsets, zone)


def shift_between(start: datetime, end: datetime, offsets: tuple[timedelta, timedelta], zone: tzinfo) -> Shift:
    """Return the shift from one offset to another, at the first whole second in (start, end] at which they differ.

    zoneinfo does not publish its transitions, so this bisects for the change of the offset.
    """
    before, after = offsets
    seconds = range(int((end - start) / _SECOND) + 1)
    passed = bisect_left(seconds, True, key=lambda passed: offset_at(start + passed * _SECOND, zone) != before)
    return Shift(start + passed * _SECOND, before, after)


def offset_at(instant: datetime, zone: tzinfo) -> timedelta:
    """Return the offset of a zone from UTC at an instant."""
    return instant.astimezone(zone).utcoffset() or _ZERO


def _offsets(wall: datetime, zone: tzinfo) -> tuple[timedelta, timedelta]:
    """Return the offsets of a wall time before and after a shift; equal if no shift skips or repeats it."""
    # zoneinfo answers with both offsets of a skipped or repeated time, depending on `fold`.
    first_pass = datetime.combine(wall, wall.time(), zone)
    second_pass = datetime.combine(wall, time(wall.hour, wall.minute, wall.second, wall.microsecond, fold=1), zone)
    return zone.utcoffset(first_pass) or _ZERO, zone.utcoffset(second_pass) or _ZERO
