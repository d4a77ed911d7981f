"""Defines the values of schedules that are stored at run time, as clients, workers and brokers exchange them.

Durations are seconds. Moments are seconds since 1970-01-01T00:00:00Z on the broker's clock.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from aioq.model.cron import CronDefinition, CronKey, TickClaim, TickRecord
from aioq.model.job import NewJob

__all__ = [
    "DueSchedules",
    "Firing",
    "PutOutcome",
    "ScheduleRecord",
    "ScheduleText",
    "StoredSchedule",
]


class ScheduleText(Struct, frozen=True, kw_only=True):
    """A schedule as text, for every worker to parse."""

    expression: str
    tz: str
    seconds: str | None = None
    dialect: str | None = None
    """Both as in `aioq.cron.scheduler.DialectScheduler.parse_dialect`."""


class StoredSchedule(Struct, frozen=True, kw_only=True):
    """A schedule that a client stored, with all that a worker needs to fire it. Brokers read `key` and `job.task`."""

    definition: CronDefinition
    """Its kind is `schedule`, and it is unique. Its expression may show what the name has chosen for an `H`."""
    text: ScheduleText
    app: str
    job: NewJob
    """The template of the job of each tick, as in `TickClaim.job`."""

    @property
    def key(self) -> CronKey:
        """The identity of the schedule. It shares the names of its queue with the entries of the code."""
        return self.definition.key


class PutOutcome(Enum):
    """A broker's decision on a schedule that a client wants to store."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    """The same schedule is stored already."""
    DECLARED = "declared"
    """Refused: an app has registered an entry of this name in this queue."""
    TAKEN = "taken"
    """Refused: another app has stored a schedule of this name in this queue."""


class ScheduleRecord(Struct, frozen=True, kw_only=True):
    """A schedule as a broker stores it."""

    schedule: StoredSchedule
    revision: str
    """Changes with each `put_schedule` that changes the schedule."""
    since: float
    """All ticks up to this moment are decided; those after it are owed."""
    due: float | None
    """When workers have to look at it: usually its next tick, with its jitter. None if it has no further tick, or is
    disabled."""


class DueSchedules(Struct, frozen=True, kw_only=True):
    """A broker's answer to a worker that asks for due schedules."""

    now: float
    """The broker's clock."""
    schedules: list[ScheduleRecord]
    next_due: float | None = None
    """Seconds until the next schedule is due, or a reservation ends; None without one. It may be too early, and is not
    too late: not above 0 if some are due now and were not returned."""


class Firing(Struct, frozen=True, kw_only=True):
    """A worker's decision on the owed ticks of a schedule that it has reserved."""

    claim: TickClaim
    """Claims the ticks that are to fire, with the job; it may have none."""
    revision: str
    due: float
    """With `revision`, what the worker has read: another worker may have fired it since."""
    until: float | None
    """The latest tick that is decided; None if none is."""
    next_due: float | None
    """When workers have to look at the schedule again; None for never."""
    not_fired: tuple[TickRecord, ...] = ()
    """Records of ticks up to `until` that do not fire."""
