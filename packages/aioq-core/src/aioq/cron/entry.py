"""A cron entry, one of its ticks, and the jitter that delays it: values that the scheduler and the worker share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import blake2b
from typing import Any

from msgspec import Struct

from aioq.callables import is_async
from aioq.cron.options import CronOptions
from aioq.cron.schedule import Schedule
from aioq.cron.steps import INSTANT, step
from aioq.cron.zones import zone_named
from aioq.model.cron import CronKey
from aioq.model.job import NewJob

__all__ = ["CronEntry", "Tick", "due_at", "jitter_of", "upcoming"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class CronEntry:
    """A schedule, and the function that workers call or the job that they enqueue at each of its ticks."""

    name: str
    """`module.function` unless given; unique in an app."""
    function: Callable[..., Any]
    """Called at each tick; for a schedule, the function of its task."""
    schedule: Schedule
    """Within the bounds of `options.start` and `options.end`."""
    queue: str = "default"
    """Only workers that consume this queue fire the entry."""
    unique: bool = False
    """Fire once per tick for the whole fleet, not once on every worker."""
    job: NewJob | None = None
    """What a schedule enqueues at each tick, under an id of the tick; None for a cron."""
    sign: Callable[[NewJob], NewJob] | None = field(default=None, compare=False)
    """Signs the job of a tick, if the app has signing keys: `job` is not signed."""
    args: tuple[Any, ...] = ()
    """What the function of a cron is called with, after the context."""
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    on_error: Callable[..., Any] | None = None
    """Called with the context and the exception if a cron's function raises or times out."""
    options: CronOptions = field(default_factory=CronOptions)
    expression: str = ""
    """The schedule as its author wrote it."""
    canonical: str = ""
    """The one text that all ways to write the schedule share; the expression if the schedule has none."""
    tz: str = "UTC"
    """The zone that the schedule is read in."""
    where: str = ""
    """File and line of the function, for messages."""
    key: CronKey = field(init=False, repr=False, compare=False)
    """The key of the entry in a ledger."""
    fingerprint: str = field(init=False, repr=False, compare=False)
    """The meaning of the schedule as text: equal for the same canonical text, zone and bounds."""
    zone: tzinfo = field(init=False, repr=False, compare=False)
    """The zone named by `tz`."""
    is_async: bool = field(init=False, repr=False, compare=False)
    """Whether the function is awaited; a plain function runs in a thread."""

    def __post_init__(self) -> None:
        # Computed here and not at every tick. The dataclass is frozen, so its own assignment is not possible.
        object.__setattr__(self, "key", CronKey(self.queue, self.name))
        object.__setattr__(self, "fingerprint", _fingerprint(self.canonical or self.expression, self.tz, self.options))
        own = getattr(self.schedule, "tz", None)
        object.__setattr__(self, "zone", own if isinstance(own, tzinfo) else zone_named(self.tz))
        object.__setattr__(self, "is_async", is_async(self.function))


# A struct of msgspec: the loop makes one for each fire, and a frozen dataclass takes far longer to make.
class Tick(Struct, frozen=True):
    """A moment at which an entry fires."""

    entry: CronEntry
    scheduled_at: datetime
    """The moment that the schedule returned, in UTC."""
    first: datetime | None = None
    """The oldest of the ticks that came due together; `scheduled_at` is the newest. None if there is only one."""


def _fingerprint(text: str, tz: str, options: CronOptions) -> str:
    # Without the policies: a change of one must not make the entry forget its last tick.
    bounds = (options.start, options.end)
    span = "" if bounds == (None, None) else " {} to {}".format(*(at.isoformat() if at else "" for at in bounds))
    return f"{text} [{tz}]{span}"


def upcoming(schedule: Schedule, start: datetime, count: int, *, until: datetime | None = None) -> list[datetime]:
    """Return the next moments of a schedule, at most `count`: those strictly after `start`, and not after `until`."""
    moments: list[datetime] = []
    moment = start
    while len(moments) < count:
        following = schedule.next_after(moment)
        if following is None or (until is not None and following > until):
            break
        moment = following
        moments.append(moment)
    return moments


def jitter_of(entry: CronEntry, tick: datetime) -> timedelta:
    """Return by how much a tick of an entry is delayed: the same in every process.

    From 0 up to the entry's `jitter`, and less than the time to the following tick, so that
    ticks stay in order.
    """
    limit = timedelta(seconds=entry.options.jitter)
    if not limit:
        return limit
    # Within whole microseconds and below the next tick: a tick never fires at the moment of its successor.
    following = step(entry.schedule, tick)
    if following is not None:
        limit = min(limit, following - tick)
    # In integers, so that every worker gets the same microsecond.
    return limit // INSTANT * _random_bits(entry.name, tick) // 2**64 * INSTANT


def due_at(entry: CronEntry, tick: datetime) -> datetime:
    """Return the moment at which a tick is to fire: its own, delayed by its jitter."""
    return tick + jitter_of(entry, tick) if entry.options.jitter else tick


def _random_bits(name: str, tick: datetime) -> int:
    """Return 64 bits that depend on name and tick alone: workers must agree on the jitter without asking each other."""
    text = f"{name} {(tick - _EPOCH) // INSTANT}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
