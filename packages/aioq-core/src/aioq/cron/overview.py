"""Defines what the code and the ledger say of an entry together, for those who list entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Final

from aioq.cron.definition import define
from aioq.cron.entry import CronEntry, upcoming
from aioq.cron.misfire import overdue
from aioq.cron.zones import zone_named
from aioq.model.cron import CronDefinition, CronStatus
from aioq.serialization.failure import one_line

__all__ = ["NEXT_RUNS", "EntryOverview", "NextRuns", "entry_overviews", "firing_mode", "next_runs_of"]

NEXT_RUNS: Final = 3
"""Next runs of an entry that are shown."""

MAX_ERROR: Final = 100
"""Characters of a schedule's error that are shown."""


@dataclass(frozen=True, slots=True)
class NextRuns:
    """The next runs of an entry, in UTC; none if its schedule has ended or raises an error."""

    runs: tuple[datetime, ...] = ()
    error: str = ""
    """What the schedule raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryOverview:
    """What the code and the ledger know of one entry."""

    definition: CronDefinition
    """From the code, or as registered if the code does not have the entry."""
    zone: tzinfo
    """The entry's time zone."""
    in_code: bool = True
    stored: bool = False
    """Whether the broker stores the schedule; then it counts as in the code."""
    next: NextRuns = field(default_factory=NextRuns)
    status: CronStatus | None = None
    """None if the entry is not registered, or the ledger was not asked."""
    overdue: datetime | None = None
    """The oldest tick that should have a record and has none."""

    @property
    def can_fire(self) -> bool:
        """Whether the entry is in the code, enabled and not paused."""
        paused = self.status is not None and self.status.pause is not None
        return self.in_code and self.definition.enabled and not paused


def entry_overviews(
    entries: Iterable[CronEntry],
    statuses: Sequence[CronStatus],
    now: datetime,
    stored: Sequence[CronEntry] = (),
) -> list[EntryOverview]:
    """Return the entries of the code, in their order, the stored ones, and the registered ones that are neither."""
    # What the loop leaves in it is registered, and not in the code.
    by_key = {status.definition.key: status for status in statuses}
    keys = {entry.key for entry in stored}
    overviews: list[EntryOverview] = []
    for entry in (*entries, *stored):
        status = by_key.pop(entry.key, None)
        overviews.append(
            EntryOverview(
                definition=define(entry),
                stored=entry.key in keys,
                next=next_runs_of(entry, now),
                zone=entry.zone,
                status=status,
                overdue=_overdue(entry, status, now) if status else None,
            )
        )
    for status in by_key.values():
        definition = status.definition
        overviews.append(
            EntryOverview(definition=definition, zone=zone_named(definition.tz), status=status, in_code=False)
        )
    return overviews


def next_runs_of(entry: CronEntry, start: datetime, count: int = NEXT_RUNS) -> NextRuns:
    """Return the next runs of an entry after `start`."""
    try:
        return NextRuns(tuple(upcoming(entry.schedule, start, count)))
    except Exception as error:  # a schedule may be the user's own code
        return NextRuns(error=one_line(f"fails: {type(error).__name__}: {error}", MAX_ERROR))


def _overdue(entry: CronEntry, status: CronStatus, now: datetime) -> datetime | None:
    try:
        return overdue(entry, status, now)
    except Exception:  # a schedule may be the user's own code; the next runs show its error
        return None


def firing_mode(definition: CronDefinition) -> str:
    """Return how often an entry fires at one tick."""
    if definition.kind == "schedule":
        return "one job a tick"
    return "once per fleet" if definition.unique else "on each worker"
