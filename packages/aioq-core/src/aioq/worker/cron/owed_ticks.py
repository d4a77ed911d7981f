"""Decides what stored schedules owe that one call has reserved: which ticks fire, and when they are due next.

Schedules with one expression usually owe the same tick. It is computed and decided once for all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aioq.cron import CronEntry
from aioq.cron.entry import due_at
from aioq.cron.misfire import NotFired, decide, split_at, unclaimed
from aioq.cron.steps import INSTANT, TickRange, around, latest, step
from aioq.cron.stored import look_at

__all__ = ["OwedTicks", "TickPlan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TickPlan:
    """What is to be done with the ticks that a schedule owes. Moments are seconds since 1970."""

    fire: tuple[float, ...] = ()
    not_fired: tuple[NotFired, ...] = ()
    until: float | None = None
    """The latest tick that is decided; None if none is."""
    next_due: float | None = None
    """When workers have to look at the schedule again; None for never."""


@dataclass(frozen=True, slots=True)
class _KnownPlan:
    """The plan for all schedules of an entry that have decided their ticks up to a moment in [`since`, `first`)."""

    entry: CronEntry
    since: float
    first: float
    """The first tick that is owed; infinite if there is none."""
    plan: TickPlan


class OwedTicks:
    """Decides on the ticks of schedules at one moment.

    Args:
        now: The broker's clock.
        started_at: When the worker has started. Ticks that came due before it by more than the entry's `grace` were
            missed, unless `catchup` makes up for them.
    """

    def __init__(self, now: float, *, started_at: float) -> None:
        self.now = now
        self._now = datetime.fromtimestamp(now, UTC)
        self._started_at = datetime.fromtimestamp(started_at, UTC)
        self._known: dict[int, _KnownPlan] = {}
        """By the id of the entry, which the plan keeps alive: to hash an entry would take longer than the decision."""

    def plan(self, entry: CronEntry, since: float) -> TickPlan:
        """Return what to do with the ticks after `since`; those up to it are decided."""
        known = self._known.get(id(entry))
        if known is None or not known.since <= since < known.first:
            known = self._known[id(entry)] = self._compute(entry, since)
        return known.plan

    def _compute(self, entry: CronEntry, since: float) -> _KnownPlan:
        first = step(entry.schedule, datetime.fromtimestamp(since, UTC))
        owed, following = self._owed(entry, first)
        fire, not_fired = ((), ()) if owed is None else self._decide(entry, owed)
        plan = TickPlan(
            fire=tuple(tick.timestamp() for tick in fire),
            not_fired=not_fired,
            until=None if owed is None else owed.last.timestamp(),
            next_due=None if following is None or not entry.options.enabled else look_at(entry, following),
        )
        return _KnownPlan(entry, since, math.inf if first is None else first.timestamp(), plan)

    def _owed(self, entry: CronEntry, first: datetime | None) -> tuple[TickRange | None, datetime | None]:
        """Return the ticks from `first` on that have come due, and the tick that follows."""
        if first is None or due_at(entry, first) > self._now:
            return None, first
        following = step(entry.schedule, first)
        if following is None or following > self._now:  # the usual case: one tick
            return TickRange(first, first), following
        newest, following = around(entry.schedule, first, self._now)
        if due_at(entry, newest) > self._now:  # jitter is less than a step, so the tick before is due
            following, newest = newest, latest(entry.schedule, first, newest - INSTANT)
        return TickRange(first, newest), following

    def _decide(self, entry: CronEntry, owed: TickRange) -> tuple[tuple[datetime, ...], tuple[NotFired, ...]]:
        """Return the ticks that fire, and those that do not."""
        options = entry.options
        floor = self._started_at - timedelta(seconds=max(options.grace, options.catchup or 0))
        too_old, rest = split_at(entry, owed, floor)
        missed: tuple[NotFired, ...] = ()
        if too_old is not None:
            missed = unclaimed(entry, owed.first - INSTANT, rest.first if rest is not None else owed.last + INSTANT)
        if rest is None:
            return (), missed
        decision = decide(entry, rest.first, rest.last, self._now)
        return decision.fire, missed + decision.not_fired
