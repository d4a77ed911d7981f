"""Telling that an entry has fallen silent: a tick has come, and nothing is recorded of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aioq.cron.entry import CronEntry
from aioq.cron.jitter import due
from aioq.cron.steps import step
from aioq.model.cron import CronStatus

__all__ = ["overdue"]


def overdue(entry: CronEntry, status: CronStatus, now: datetime) -> datetime | None:
    """Return the oldest tick that should have been recorded by `now`, on the broker's clock; None if there is none.

    An entry has its grace and its jitter before a tick is missed. It owes nothing while it is
    paused, disabled or retired, while another schedule is registered under its name, or of
    before it was armed.
    """
    if not _owes(entry, status):
        return None
    tick = step(entry.schedule, datetime.fromtimestamp(_accounted(status), UTC))
    if tick is None or now <= due(entry, tick) + timedelta(seconds=entry.options.grace):
        return None
    return tick


def _owes(entry: CronEntry, status: CronStatus) -> bool:
    idle = status.pause is not None or status.retired_at is not None or not entry.options.enabled
    return not idle and status.definition.fingerprint == entry.fingerprint


def _accounted(status: CronStatus) -> float:
    """Return the moment up to which it is known what became of every tick."""
    recorded = status.armed_at if status.last is None else status.last.tick
    return max(status.armed_at, recorded, status.last_tick or status.armed_at)
