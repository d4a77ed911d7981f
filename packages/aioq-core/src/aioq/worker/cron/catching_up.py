"""What a fleet's entry owes from before a worker was up."""

from __future__ import annotations

from datetime import datetime, timedelta

from aioq.cron import CronEntry, Tick
from aioq.cron.steps import latest, step

__all__ = ["owed"]


def owed(entry: CronEntry, now: datetime) -> Tick | None:
    """Return the ticks that came due in the entry's `catchup` seconds before `now`; None if there are none.

    Whether anybody has fired them is for the ledger to say.
    """
    if not entry.options.catchup:
        return None
    first = step(entry.schedule, now - timedelta(seconds=entry.options.catchup))
    if first is None or first > now:
        return None
    newest = latest(entry.schedule, first, now)
    return Tick(entry, newest, first if first < newest else None)
