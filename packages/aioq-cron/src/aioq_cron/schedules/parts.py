"""Checks, names and describes the parts of a combined schedule, which may be foreign schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, tzinfo
from itertools import groupby

from aioq.cron import ClockChange
from aioq.cron.schedule import (
    CanonicalSchedule,
    ExplainedSchedule,
    LintedSchedule,
    NamedSchedule,
    Schedule,
    stable_text,
)
from aioq.cron.zones import zone_text
from aioq_cron.describe.clock_changes import MAX_RUNS

__all__ = [
    "canonical_label",
    "changes_of",
    "checked",
    "common_zone",
    "label",
    "lints_of",
    "merged_changes",
    "named_part",
    "only_runs",
    "words_of",
    "zone_of",
]

_JOINTS = (" and ", " except ", " if also ")


def checked(part: object, whole: str) -> Schedule:
    """Return `part` if it is a schedule.

    Raises:
        TypeError: It is not a schedule. For a text the message says which class to use.
    """
    if isinstance(part, str):
        raise TypeError(f"{whole} takes schedules, got the text {part!r}; write CronExpression({part!r})")
    if not isinstance(part, Schedule):
        raise TypeError(f"{whole} takes schedules, which have a method next_after, got {part!r}")
    return part


def named_part(part: Schedule, name: str) -> Schedule:
    """Return a part as it is in the entry with this name."""
    return part.named(name) if isinstance(part, NamedSchedule) else part


def zone_of(part: object) -> tzinfo | None:
    """Return the time zone of a schedule; None if it has no single zone."""
    zone: object = getattr(part, "tz", None)
    return zone if isinstance(zone, tzinfo) else None


def common_zone(parts: Iterable[object]) -> tzinfo | None:
    """Return the zone that all parts with a zone share; None if they differ or no part has one."""
    zones = {zone for part in parts if (zone := zone_of(part)) is not None}
    return zones.pop() if len(zones) == 1 else None


def label(part: Schedule, zone: tzinfo | None) -> str:
    """Return a part as text, with its zone if that differs from `zone`."""
    text = stable_text(part)
    # Otherwise the parts of a nested schedule would read like parts of this one.
    text = f"({text})" if any(joint in text for joint in _JOINTS) else text
    own = zone_of(part)
    return text if own in (None, zone) else f"{text} [{zone_text(own)}]"


def canonical_label(part: Schedule) -> str:
    """Return a part in its canonical form, or as text, always with its zone."""
    text = part.canonical if isinstance(part, CanonicalSchedule) else stable_text(part)
    own = zone_of(part)
    return f"({text})" if own is None else f"({text} [{zone_text(own)}])"


def words_of(part: Schedule, zone: tzinfo | None) -> str:
    """Return a part in words, or as text, with its zone if that differs from `zone`."""
    words = part.in_words() if isinstance(part, ExplainedSchedule) else stable_text(part)
    words = f"({words})" if "; " in words else words
    own = zone_of(part)
    return words if own in (None, zone) else f"{words} in {zone_text(own)}"


def changes_of(part: Schedule, start: datetime, end: datetime) -> list[ClockChange]:
    """Return the clock changes that a part reports; none if it is not an `ExplainedSchedule`."""
    return part.clock_changes(start, end) if isinstance(part, ExplainedSchedule) else []


def merged_changes(parts: Iterable[Schedule], start: datetime, end: datetime) -> list[ClockChange]:
    """Return the clock changes that the parts report, in order, each once."""
    changes = [change for part in parts for change in changes_of(part, start, end)]
    # `groupby` joins neighbours only.
    changes.sort(key=_which)
    return [_merged(list(same)) for _, same in groupby(changes, _which)]


def only_runs(change: ClockChange, keeps: Callable[[datetime], bool], texts: tuple[str, str]) -> ClockChange:
    """Return a clock change with the runs that are kept.

    The first text is added to its effect if some runs are gone, the second one if all are.
    """
    runs = tuple(run for run in change.runs if keeps(run))
    if len(runs) == len(change.runs):
        return change
    return replace(change, runs=runs, effect=f"{change.effect}, {texts[0] if runs else texts[1]}")


def lints_of(parts: Iterable[Schedule], now: datetime) -> list[str]:
    """Return the lints of all parts that have any, each with its part."""
    return [
        f"{stable_text(part)}: {text}" for part in parts if isinstance(part, LintedSchedule) for text in part.lints(now)
    ]


def _which(change: ClockChange) -> tuple[datetime, datetime, datetime]:
    return change.at, change.start, change.end


def _merged(changes: list[ClockChange]) -> ClockChange:
    """Merge what several parts report about one clock change."""
    # A part that the change does not touch has nothing to say beside one that it does.
    touched = [change for change in changes if change.touches] or changes
    return replace(
        touched[0],
        runs=tuple(sorted({run for change in touched for run in change.runs})[:MAX_RUNS]),
        effect="; ".join(dict.fromkeys(change.effect for change in touched)),
    )
