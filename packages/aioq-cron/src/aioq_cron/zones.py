"""Looks up time zones by name, and adapts those of other libraries."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from aioq.cron.zones import HOST_DEPENDENT, load_zone, zone_text
from aioq_cron.errors import InvalidCronExpression

__all__ = ["WallClock", "find_zone"]

_DAY = timedelta(days=1)
_YEAR = timedelta(days=365)
_NO_TIME = timedelta()
_UTC = load_zone("UTC")
_LONGEST_NAME = 60
_OFFSET = re.compile(r"[+-]\d")


def find_zone(tz: object) -> tzinfo:
    """Return the zone named `tz`, or `tz` itself if it is a zone; UTC when None, never the host's.

    Raises:
        InvalidCronExpression: There is no such zone, or it depends on the host; suggests one of a similar name.
        TypeError: `tz` is neither a name nor a tzinfo.
    """
    if isinstance(tz, tzinfo):
        if zone_text(tz).casefold() in HOST_DEPENDENT:
            raise InvalidCronExpression(_host_dependent(zone_text(tz)), field="tz")
        return tz if isinstance(tz, ZoneInfo | timezone | WallClock) else WallClock(tz)
    if tz is None:
        return _UTC
    if not isinstance(tz, str):
        raise TypeError(f'tz is a name such as "Europe/Berlin", a tzinfo or None, got {tz!r}')
    try:
        return load_zone(tz)
    except ValueError as error:
        text = _host_dependent(tz) if tz.casefold() in HOST_DEPENDENT else _unknown(tz)
        raise InvalidCronExpression(text, field="tz") from error


class WallClock(tzinfo):
    """Adds what PEP 495 asks for to a zone of another library: a skipped or repeated wall time has two offsets.

    It uses only the zone's conversion from UTC, in which all libraries agree. Two clock changes of the zone must be
    more than two days apart.
    """

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """Return the offset of a wall time; of one that is skipped or repeated by its `fold`."""
        if moment is None:
            return None
        wall = moment.replace(tzinfo=None, fold=0)
        before, after = self._offset_at(wall, -_DAY), self._offset_at(wall, _DAY)
        if before == after:
            return before
        # Offsets under which an instant has this wall time: both if it is repeated, none if it is skipped.
        valid = [offset for offset in (before, after) if self._offset_at(wall, -offset) == offset]
        return valid[0] if len(valid) == 1 else after if moment.fold else before

    def dst(self, moment: datetime | None) -> timedelta | None:
        """Return None: it is not known."""
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        """Return the abbreviation that the zone has."""
        return self.zone.tzname(moment and moment.replace(tzinfo=self.zone))

    def fromutc(self, moment: datetime) -> datetime:
        """Return the wall time of a moment in UTC, with the `fold` of its pass."""
        utc = moment.replace(tzinfo=None, fold=0)
        offset = self._offset_at(utc, _NO_TIME)
        wall = (utc + offset).replace(tzinfo=self)
        return wall if self.utcoffset(wall) == offset else wall.replace(fold=1)

    def _offset_at(self, utc: datetime, later: timedelta) -> timedelta:
        """Return the zone's offset at a moment in UTC, some time later."""
        try:
            return (utc + later).replace(tzinfo=UTC).astimezone(self.zone).utcoffset() or _NO_TIME
        except OverflowError:  # at either end of the calendar
            inside = datetime.min + _YEAR if utc < datetime.max - _YEAR else datetime.max - _YEAR
            return self._offset_at(inside, _NO_TIME)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WallClock) and self.zone == other.zone

    def __hash__(self) -> int:
        return hash(zone_text(self.zone))  # a zone of dateutil has no hash

    def __reduce__(self) -> tuple[type[WallClock], tuple[tzinfo]]:
        return WallClock, (self.zone,)

    def __str__(self) -> str:
        return zone_text(self.zone)

    def __repr__(self) -> str:
        return repr(self.zone)


def _host_dependent(name: str) -> str:
    return f"tz {name!r} is the zone of the host, which differs from host to host; name one such as 'Europe/Berlin'"


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
    # Abbreviations are not compared: EST is not a correction of CEST.
    close = get_close_matches(wanted, [zone for zone in by_name if "/" in zone], n=1, cutoff=0.75)
    return exact or (by_name[close[0]] if close else None)
