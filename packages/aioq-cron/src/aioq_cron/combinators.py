"""What schedules that are made of others ask of their parts, which may be anybody's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from aioq.cron import ClockChange
from aioq.cron.schedule import ExplainedSchedule, Schedule

__all__ = ["changes_of", "checked", "common_zone", "label", "stable_text", "words_of", "zone_of"]


def checked(part: object, whole: str) -> Schedule:
    """Return what is a schedule.

    Raises:
        TypeError: It is none; says what to write instead of an expression.
    """
    if isinstance(part, str):
        raise TypeError(f"{whole} takes schedules, got the text {part!r}; write CronExpression({part!r})")
    if not isinstance(part, Schedule):
        raise TypeError(f"{whole} takes schedules, which have a method next_after, got {part!r}")
    return part


def zone_of(part: object) -> ZoneInfo | None:
    """Return the zone that a schedule is read in; None when it has none, or several."""
    zone: object = getattr(part, "tz", None)
    return zone if isinstance(zone, ZoneInfo) else None


def common_zone(parts: Iterable[object]) -> ZoneInfo | None:
    """Return the zone of all parts that have one; None when they differ, or none has."""
    zones = {zone for part in parts if (zone := zone_of(part)) is not None}
    return zones.pop() if len(zones) == 1 else None


def stable_text(part: object) -> str:
    """Return an object as text that is the same in every process: its own, or else the name of its type."""
    kind = type(part)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        return f"{kind.__module__}.{kind.__qualname__}"
    return str(part)


def label(part: Schedule, zone: ZoneInfo | None) -> str:
    """Return a part as text, with its zone when that is not the one of the whole."""
    text = stable_text(part)
    text = f"({text})" if " and " in text or " except " in text else text
    own = zone_of(part)
    return text if own in (None, zone) else f"{text} [{own}]"


def words_of(part: Schedule, zone: ZoneInfo | None) -> str:
    """Return a part in words, if it has any, with its zone when that is not the one of the whole."""
    words = part.in_words() if isinstance(part, ExplainedSchedule) else stable_text(part)
    words = f"({words})" if "; " in words else words
    own = zone_of(part)
    return words if own in (None, zone) else f"{words} in {own}"


def changes_of(part: Schedule, start: datetime, end: datetime) -> list[ClockChange]:
    """Return what a part says of clock changes; one that cannot explain itself says nothing."""
    return part.clock_changes(start, end) if isinstance(part, ExplainedSchedule) else []
