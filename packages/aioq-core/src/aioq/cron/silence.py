"""Telling that an entry has fallen silent: a tick has come, and nothing is recorded of it."""

from __future__ import annotations

from datetime import datetime

from aioq.cron.entry import CronEntry
from aioq.ticks import CronStatus

__all__ = ["overdue"]


def overdue(entry: CronEntry, status: CronStatus, now: datetime) -> datetime | None:
    """Return the oldest tick that should have been recorded by `now`, on the broker's clock; None if there is none.

    An entry has its grace and its jitter before a tick is missed. It owes nothing while it is
    paused or disabled, or of before it was armed.
    """
    raise NotImplementedError
