"""What a fleet's entry owes from before a worker was up."""

from __future__ import annotations

from datetime import datetime, timedelta

from aioq.cron import CronEntry, Tick
from aioq.cron.misfire import cut
from aioq.cron.steps import Row, latest, step

__all__ = ["Debts", "owed"]


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
