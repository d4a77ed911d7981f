"""How commands read and write moments, and spans of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from aioq.cli.exit_codes import CommandError
from aioq.clock import SystemClock

__all__ = [
    "to_datetime",
    "format_near",
    "iso_time",
    "format_duration",
    "parse_time",
    "now",
    "format_time",
    "format_times",
    "parse_zone",
    "zone_of",
]

WEEK = timedelta(days=7)

_UNITS = ("minutes", "seconds", "milliseconds")

_SPANS = ((172_800, 86_400, "d"), (7_200, 3_600, "h"), (120, 60, "min"))
"""From how many seconds on, by what a span is counted."""


def now() -> datetime:
    """Return the moment by the host's clock, in UTC."""
    return to_datetime(SystemClock().time())


def to_datetime(seconds: float, zone: tzinfo = UTC) -> datetime:
    """Return the moment so many seconds after 1970 began."""
    return datetime.fromtimestamp(seconds, zone)


def iso_time(seconds: float | None, zone: tzinfo = UTC) -> str | None:
    """Return a moment for programs; None for none."""
    return None if seconds is None else to_datetime(seconds, zone).isoformat()


def format_time(moment: datetime, *, weekday: bool = False) -> str:
    """Return a moment with its offset, and with seconds where it has some."""
    return format_times([moment], weekday=weekday)[0]


def format_times(moments: Sequence[datetime], *, weekday: bool = False) -> list[str]:
    """Return moments with their offsets, all of them with seconds if one has some."""
    day = "%a " if weekday else ""
    unit = max((_unit(moment) for moment in moments), key=_UNITS.index, default="minutes")
    return [moment.strftime(day) + moment.isoformat(" ", timespec=unit) for moment in moments]


def _unit(moment: datetime) -> str:
    return "milliseconds" if moment.microsecond else "seconds" if moment.second else "minutes"


def format_near(moment: datetime, now: datetime) -> str:
    """Return a moment as one says it at `now`: the time alone today, with the weekday in the days around."""
    today = now.astimezone(moment.tzinfo)
    time = f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
    if moment.date() == today.date():
        return time
    return f"{moment:%a} {time}" if abs(moment.date() - today.date()) < WEEK else f"{moment:%Y-%m-%d} {time}"


def format_duration(seconds: float) -> str:
    """Return a span of time in a few characters: "0.02 s", "14 s", "3 min", "5 h"."""
    for least, unit, name in _SPANS:
        if seconds >= least:
            return f"{seconds // unit:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2f} s"


def zone_of(name: str) -> ZoneInfo:
    """Return a zone of an entry; UTC for one that only the scheduler knows."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # a zone that was read from a file has no name to find it by
        return ZoneInfo("UTC")


def parse_zone(text: str | None) -> ZoneInfo | None:
    """Return the zone that somebody asked for; None for none.

    Raises:
        CommandError: There is no such zone.
    """
    if text is None:
        return None
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        raise CommandError(f"--tz: {text!r} is not a known time zone; write one like Europe/Berlin") from error


def parse_time(option: str, text: str, zone: tzinfo) -> datetime:
    """Return the moment that somebody wrote in ISO 8601, in `zone` unless it says an offset itself.

    Raises:
        CommandError: It is no moment.
    """
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(zone)
    except (ValueError, OverflowError) as error:
        raise CommandError(
            f"{option}: {text!r} is no moment in ISO 8601; write one like 2026-03-29T02:30 or 2026-03-29T00:30Z"
        ) from error
