"""Reading and printing times and durations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from aioq.cli.exit_codes import CommandError
from aioq.clock import SystemClock, stored_time

__all__ = [
    "format_duration",
    "format_near",
    "format_time",
    "format_times",
    "iso_time",
    "now",
    "parse_time",
    "parse_zone",
]

WEEK = timedelta(days=7)

_PRECISIONS = ("minutes", "seconds", "milliseconds")

_DURATION_UNITS = ((172_800, 86_400, "d"), (7_200, 3_600, "h"), (120, 60, "min"))
"""Each with the seconds from which it is used, its length in seconds and its name."""


def now() -> datetime:
    """Return the time of the host's clock, in UTC."""
    return datetime.fromtimestamp(SystemClock().time(), UTC)


def iso_time(seconds: float | None, zone: tzinfo = UTC) -> str | None:
    """Return a time in ISO 8601; None for None."""
    return None if seconds is None else stored_time(seconds, zone).isoformat()


def format_time(time: datetime, *, weekday: bool = False) -> str:
    """Return a time with its offset, and with seconds unless they are 0."""
    return format_times([time], weekday=weekday)[0]


def format_times(times: Sequence[datetime], *, weekday: bool = False) -> list[str]:
    """Return times with their offsets, all in the precision that the most precise one needs."""
    day = "%a " if weekday else ""
    precision = max((_precision(time) for time in times), key=_PRECISIONS.index, default="minutes")
    return [time.strftime(day) + time.isoformat(" ", timespec=precision) for time in times]


def _precision(time: datetime) -> str:
    return "milliseconds" if time.microsecond else "seconds" if time.second else "minutes"


def format_near(time: datetime, now: datetime) -> str:
    """Return a time without the date if it is today, with the weekday within a week of `now`, else with the date."""
    today = now.astimezone(time.tzinfo).date()
    text = f"{time:%H:%M:%S}" if time.second else f"{time:%H:%M}"
    if time.date() == today:
        return text
    return f"{time:%a} {text}" if abs(time.date() - today) < WEEK else f"{time:%Y-%m-%d} {text}"


def format_duration(seconds: float) -> str:
    """Return a duration in a few characters: "0.02 s", "14 s", "3 min", "5 h"."""
    for least, unit, name in _DURATION_UNITS:
        if seconds >= least:
            return f"{seconds // unit:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2f} s"


def parse_zone(text: str | None) -> tzinfo | None:
    """Return the zone that `--tz` names; without one None, which is the host's, or UTC if the host's cannot be used.

    Raises:
        CommandError: There is no such zone.
    """
    if text is None:
        return None if _host_has_zone() else UTC
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        raise CommandError(f"--tz: {text!r} is not a known time zone; write one like Europe/Berlin") from error


def _host_has_zone() -> bool:
    """Return whether Python accepts the offset of the host's zone: TZ may name any, such as UTC+25."""
    try:
        datetime(2000, 1, 1, tzinfo=UTC).astimezone()
    except ValueError:
        return False
    return True


def parse_time(option: str, text: str, zone: tzinfo) -> datetime:
    """Return a time in ISO 8601 that an option has. One without an offset is in `zone`.

    Raises:
        CommandError: The text is not a time.
    """
    try:
        time = datetime.fromisoformat(text)
        # Converted even if it has an offset, as commands show all times in the zone of the entry.
        return (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(zone)
    except (ValueError, OverflowError) as error:
        raise CommandError(
            f"{option}: {text!r} is not a time in ISO 8601; write one like 2026-03-29T02:30 or 2026-03-29T00:30Z"
        ) from error
