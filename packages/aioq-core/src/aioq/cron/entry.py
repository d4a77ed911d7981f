"""What fires on a schedule, and one firing of it: values that the scheduler's loop and the
worker share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aioq.cron.options import CronOptions
from aioq.cron.schedule import Schedule
from aioq.model.cron import CronKey
from aioq.model.job import NewJob

__all__ = ["CronEntry", "Tick", "upcoming"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CronEntry:
    """A function that workers call, or a job that they enqueue, and the schedule for it."""

    name: str
    """`module.function` unless given; one entry of an app holds it."""
    function: Callable[..., Any]
    """Called at each tick; for a schedule, what its task runs."""
    schedule: Schedule
    """Within the bounds of `options.start` and `options.end`."""
    queue: str = "default"
    """Only workers that consume this queue carry the entry."""
    unique: bool = False
    """Fire once per tick for the whole fleet, not once on every worker."""
    job: NewJob | None = None
    """What a schedule enqueues at each tick, under an id of the tick; None for a cron."""
    args: tuple[Any, ...] = ()
    """What the function of a cron is called with, after the context."""
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    on_error: Callable[..., Any] | None = None
    """Called with the context and the exception when a cron's function raises or runs out of time."""
    options: CronOptions = field(default_factory=CronOptions)
    expression: str = ""
    """The schedule as its author wrote it."""
    tz: str = "UTC"
    """The zone that the schedule is read in."""
    where: str = ""
    """File and line of the function, for messages."""

    @property
    def key(self) -> CronKey:
        """What a ledger knows the entry by."""
        return CronKey(self.queue, self.name)

    @property
    def fingerprint(self) -> str:
        """What the schedule means, as text: equal for the same expression, zone and bounds."""
        bounds = (self.options.start, self.options.end)
        span = "" if bounds == (None, None) else " {} to {}".format(*(at.isoformat() if at else "" for at in bounds))
        return f"{self.expression} [{self.tz}]{span}"


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment at which an entry is to fire."""

    entry: CronEntry
    scheduled_at: datetime
    """The moment that the schedule named, in UTC."""
    first: datetime | None = None
    """The oldest of the ticks that came due together, of which this is the newest; None when it is the only one."""


def upcoming(schedule: Schedule, start: datetime) -> Iterator[datetime]:
    """Yield the moments of a schedule strictly after `start`, for as long as there are any."""
    moment = schedule.next_after(start)
    while moment is not None:
        yield moment
        moment = schedule.next_after(moment)
