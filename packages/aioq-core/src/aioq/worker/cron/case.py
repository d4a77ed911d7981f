"""Ticks of a fleet's entry that came due together, and what becomes of those that nobody fires."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aioq.cron import CronEntry, Tick
from aioq.cron.misfire import Left, judge, unfired
from aioq.cron.steps import step

__all__ = ["Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """Ticks from the first to the newest, as they were judged at a moment."""

    entry: CronEntry
    first: datetime
    newest: datetime
    judged_at: datetime

    @classmethod
    def of(cls, tick: Tick, now: datetime) -> Case:
        """Return the case of a tick, and of those that came due with it."""
        return cls(tick.entry, tick.first or tick.scheduled_at, tick.scheduled_at, now)

    def chosen(self) -> tuple[datetime, ...]:
        """Return the ticks that are to fire, oldest first."""
        return judge(self.entry, self.first, self.newest, self.judged_at).fire

    def unfired_since(self, previous: datetime) -> tuple[Left, ...]:
        """Return what became of the ticks after `previous`, but for those that were chosen.

        Who wins the tick after `previous` owns them. What was fired up to there is somebody else's.
        """
        following = step(self.entry.schedule, previous)
        if following is None or following > self.newest:
            return ()
        away = unfired(self.entry, previous, [self.first])
        return away + judge(self.entry, max(self.first, following), self.newest, self.judged_at).left
