"""Time zones: looks them up by name, converts instants, and finds the shifts of their clocks."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from aioq_cron.errors import InvalidCronExpression

__all__ = ["Shift", "find_zone", "in_utc", "shift_at", "shifts_between", "wall_time"]

_ZERO = timedelta(0)
_SECOND = timedelta(seconds=1)
_TICK = timedelta(microseconds=1)
_LONGEST_NAME = 60
_OFFSET = re.compile(r"[+-]\d")
_LARGEST_DAYLIGHT_SHIFT = timedelta(hours=3)
_STRIDE = timedelta(hours=3)
"""Distance between two offsets that are compared: shorter than any zone keeps an offset."""

_CALENDAR_START = datetime.min.replace(tzinfo=UTC)
_CALENDAR_END = datetime.max.replace(tzinfo=UTC)
_FIRST_IN_ALL_ZONES = _CALENDAR_START + timedelta(days=2)
_LAST_IN_ALL_ZONES = _CALENDAR_END - timedelta(days=2)
"""Between these two, every instant has a wall time in every zone."""


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
        return _CALENDAR_START if instant.year == 1 else _CALENDAR_END


def find_zone(tz: object) -> ZoneInfo:
    """Return the zone named `tz`; UTC when None, never the host's.

    Raises:
        InvalidCronExpression: There is no such zone; suggests one of a similar name.
        TypeError: `tz` is neither a name nor a ZoneInfo.
    """
    if isinstance(tz, ZoneInfo):
        return tz
    if tz is not None and not isinstance(tz, str):
        raise TypeError(f'tz is a name such as "Europe/Berlin", a ZoneInfo or None, got {tz!r}')
    name = "UTC" if tz is None else tz
    try:
        return ZoneInfo(name)
    # For a name that is a folder or too long, ZoneInfo lets the OSError of the file system through.
    except (KeyError, ValueError, OSError) as error:
        raise InvalidCronExpression(_unknown(name), field="tz") from error


def _unknown(name: str) -> str:
    known = available_timezones()
    if not known:
        return f"tz {name[:_LONGEST_NAME]!r} cannot be looked up: no time zone data here; run: pip install tzdata"
    message = f"tz {name[:_LONGEST_NAME]!r} is not a known time zone"
    is_offset = _OFFSET.search(name) is not None
    similar = None if is_offset or len(name) > _LONGEST_NAME else _similar(name, known)
    return f"{message}; did you mean {similar!r}?" if similar else message


def _similar(name: str, known: set[str]) -> str | None:
    wanted = name.strip().replace(" ", "_").casefold()
    by_city = {zone.casefold().rpartition("/")[2]: zone for zone in sorted(known, reverse=True)}
    by_name = {zone.casefold(): zone for zone in known}
    exact = by_name.get(wanted) or by_city.get(wanted)
    # Abbreviations are not compared: EST is no correction of CEST.
    close = get_close_matches(wanted, [zone for zone in by_name if "/" in zone], n=1, cutoff=0.75)
    return exact or (by_name[close[0]] if close else None)


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


def wall_time(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return what the clocks of `zone` show at `instant`, as a naive datetime."""
    try:
        return instant.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        if instant.year > 1:
            raise
        return datetime.min


def shift_at(wall: datetime, zone: ZoneInfo) -> Shift | None:
    """Return the shift that skips or repeats a wall time, None when it comes exactly once."""
    before, after = _offset(wall, zone, fold=0), _offset(wall, zone, fold=1)
    if before == after:
        return None
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
