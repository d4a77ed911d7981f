"""Combines several schedules into one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from itertools import groupby

from aioq.cron import ClockChange
from aioq.cron.schedule import Schedule
from aioq_cron.combinators import canonical_label, changes_of, checked, common_zone, label, words_of
from aioq_cron.describe_dst import MAX_RUNS

__all__ = ["Union"]


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Union:
    """Fires whenever one of several schedules does; once where they meet.

    A value, as far as its parts are: equal to another of equal parts in the same order.

    Args:
        *schedules: At least one: expressions, intervals, unions, anything with `next_after`.
    Raises:
        TypeError: One of them is not a schedule.
        ValueError: No schedule is given.
    """

    schedules: tuple[Schedule, ...]

    def __init__(self, *schedules: Schedule) -> None:
        if not schedules:
            raise ValueError("Union takes at least one schedule, got none")
        for schedule in schedules:
            checked(schedule, "Union")
        object.__setattr__(self, "schedules", schedules)

    @property
    def tz(self) -> tzinfo | None:
        """The zone of all parts that have one; None when these differ, or none has one."""
        return common_zone(self.schedules)

    @property
    def canonical(self) -> str:
        """Its parts in canonical form, each once, in the order of their texts."""
        return " and ".join(sorted({canonical_label(schedule) for schedule in self.schedules}))

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first moment strictly after `instant` at which a part fires, in UTC; None when none does."""
        moments = [schedule.next_after(instant) for schedule in self.schedules]
        return min((moment for moment in moments if moment is not None), default=None)

    def in_words(self) -> str:
        """Return when it fires, part by part."""
        return "; and ".join(words_of(schedule, self.tz) for schedule in self.schedules)

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return the clock changes in [start, end) in the zones of its parts, in order, and what they do to it."""
        changes = [change for schedule in self.schedules for change in changes_of(schedule, start, end)]
        # `groupby` joins neighbours only.
        changes.sort(key=_which)
        return [_merged(list(same)) for _, same in groupby(changes, _which)]

    def __str__(self) -> str:
        return " and ".join(label(schedule, self.tz) for schedule in self.schedules)

    def __repr__(self) -> str:
        return f"Union({', '.join(map(repr, self.schedules))})"


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
