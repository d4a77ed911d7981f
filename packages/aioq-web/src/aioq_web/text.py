"""Writes numbers, durations and times as people read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from aioq.clock import stored_time

__all__ = ["Moment", "ago", "compact", "count_of", "duration", "moment", "number"]

MINUTE, HOUR, DAY = 60, 3600, 86_400
_UNITS: Final = ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min"), (MINUTE, "min", 1, "s"))
MAX_SECONDS_PART: Final = 10 * MINUTE
"""Seconds from which a duration in minutes has no seconds."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment as a page shows it."""

    iso: str
    relative: str
    """How far away it is: "42 min ago"."""
    title: str
    """The same moment in the zone of the reader, in that of the entry, and in UTC, a line for each."""


def number(value: float) -> str:
    """Return a whole number with commas between thousands."""
    return f"{value:,.0f}"


def compact(value: float) -> str:
    """Return a number in at most five characters: "812", "57.2 k", "1.3 M"."""
    for least, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= least:
            scaled = value / (1e3 if unit == "k" else least)
            return f"{scaled:.1f} {unit}" if scaled < 100 else f"{scaled:.0f} {unit}"
    return number(value)


def count_of(count: int, one: str, many: str) -> str:
    """Return a number with the words for one thing or for many: "1 job waits", "12 jobs wait"."""
    return f"{number(count)} {one if count == 1 else many}"


def duration(seconds: float) -> str:
    """Return a duration with its two largest units: "300 ms", "1.8 s", "42 min", "2 h 4 min", "3 d"."""
    seconds = max(seconds, 0.0)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    rounded = round(seconds)
    for size, unit, smaller, smaller_unit in _UNITS:
        if rounded >= size:
            whole, rest = divmod(rounded, size)
            if rest // smaller == 0 or whole >= 10 or (unit == "min" and rounded >= MAX_SECONDS_PART):
                return f"{whole} {unit}"
            return f"{whole} {unit} {rest // smaller} {smaller_unit}"
    return f"{rounded} s"


def ago(seconds: float) -> str:
    """Return how long ago something was, or in which time it comes if `seconds` is negative."""
    if abs(seconds) < 1:
        return "now"
    size = abs(seconds)
    units = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s"))
    text = next(f"{size // unit:.0f} {name}" for unit, name in units if size >= unit)
    return f"{text} ago" if seconds > 0 else f"in {text}"


def moment(seconds: float, now: float, zone: tzinfo, entry_zone: tzinfo | None = None) -> Moment:
    """Return a moment for a reader.

    Args:
        seconds: The moment, in seconds since 1970.
        now: The present, by the same clock.
        zone: The zone of the reader.
        entry_zone: The zone of the cron entry that the moment belongs to.
    """
    utc = stored_time(seconds)
    zones: dict[str, tzinfo] = {"you": zone, "UTC": utc.tzinfo or zone}
    if entry_zone is not None and str(entry_zone) not in {str(zone), "UTC"}:
        zones = {"you": zone, str(entry_zone): entry_zone, "UTC": zones["UTC"]}
    lines = [f"{name}: {_full(utc.astimezone(each))}" for name, each in zones.items()]
    return Moment(utc.isoformat(timespec="milliseconds"), ago(now - seconds), "\n".join(lines))


def _full(time: datetime) -> str:
    return f"{time:%a %d %b %Y %H:%M:%S%z} {time.tzinfo}"
