"""Looks up time zones by name."""

from __future__ import annotations

import re
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from aioq_cron.errors import InvalidCronExpression

__all__ = ["find_zone"]

_LONGEST_NAME = 60
_OFFSET = re.compile(r"[+-]\d")


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
    # Abbreviations are not compared: EST is not a correction of CEST.
    close = get_close_matches(wanted, [zone for zone in by_name if "/" in zone], n=1, cutoff=0.75)
    return exact or (by_name[close[0]] if close else None)
