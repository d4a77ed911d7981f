"""What is fired on a schedule, and one firing of it: values that the scheduler's loop and
the worker share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aioq.protocols import Schedule

__all__ = ["CronEntry", "Tick", "upcoming"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CronEntry:
    """A function, and the schedule on which workers call it."""

    name: str
    """`module.function` unless given; one entry of an app holds it."""
    function: Callable[..., Any]
    schedule: Schedule
    queue: str = "default"
    """Only workers that consume this queue carry the entry."""
    unique: bool = False
    """Fire once per tick for the whole fleet, not once on every worker."""
    expression: str = ""
    """The schedule as its author wrote it."""
    tz: str = "UTC"
    """The zone that the schedule is read in."""
    where: str = ""
    """File and line of the function, for messages."""

    @property
    def fingerprint(self) -> str:
        """What the schedule means, as text: equal for the same expression and zone."""
        return f"{self.expression} [{self.tz}]"


@dataclass(frozen=True, slots=True)
class Tick:
    """One moment at which an entry is to fire."""

    entry: CronEntry
    scheduled_at: datetime
    """The moment that the schedule named, in UTC."""


def upcoming(schedule: Schedule, start: datetime) -> Iterator[datetime]:
    """Yield the moments of a schedule strictly after `start`, for as long as there are any."""
    moment = schedule.next_after(start)
    while moment is not None:
        yield moment
        moment = schedule.next_after(moment)
