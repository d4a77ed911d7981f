"""Ticks of a fleet's entry that came due together, and what becomes of those that nobody fires."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from aioq.clock import Clock, wait_until
from aioq.cron import CronEntry, Tick
from aioq.cron.jitter import due
from aioq.cron.misfire import Left, cut, judge, unfired
from aioq.cron.steps import Row, latest, step
from aioq.worker.shutdown import Shutdown

__all__ = ["Case", "Debts", "owed", "wait_for_turn"]


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


class Debts:
    """What is owed of entries, told once for each."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def take(self, entry: CronEntry, now: datetime) -> Tick | None:
        """Return what an entry owes at a moment; nothing when it was asked before."""
        if entry.name in self._told:
            return None
        self._told.add(entry.name)
        return owed(entry, now)


def owed(entry: CronEntry, now: datetime) -> Tick | None:
    """Return the ticks that came due in the entry's `grace` or `catchup` seconds before `now`; None if there are none.

    The grace is for those that other workers still bid for, and may not come to win: who wins
    a later one has spent theirs. Whether anybody has fired them is for the ledger to say.
    """
    options = entry.options
    since = now - timedelta(seconds=max(options.grace, options.catchup or 0))
    first = step(entry.schedule, since - timedelta(seconds=options.jitter))
    if first is None or first > now:
        return None
    _, row = cut(entry, Row(first, latest(entry.schedule, first, now)), since)
    return None if row is None else Tick(entry, row.last, row.first if row.first < row.last else None)


async def wait_for_turn(entry: CronEntry, moment: datetime, clock: Clock, shutdown: Shutdown) -> bool:
    """Wait out the jitter of a tick; False when the worker stops before it is over."""
    left = due(entry, moment).timestamp() - clock.time()
    return left <= 0 or not await wait_until(shutdown.draining, clock, left)
