"""One run of a cron's function."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import anyio

from aioq.cron import CronEntry
from aioq.ticks import TickRun

__all__ = ["REPLACED", "STOPPED", "CronRun", "CutShort"]


class CutShort(Exception):
    """A run was cancelled from outside; the text says why."""


REPLACED = "cut short: a newer run took its place"
STOPPED = "cut short: the worker stopped"


@dataclass(slots=True, eq=False)
class CronRun:
    """A run that goes on, or waits for an earlier one to end."""

    entry: CronEntry
    moment: datetime
    """The tick."""
    fired_at: float = 0.0
    """On the broker's clock; 0 while it waits."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    cause: Exception | None = None
    """What it was cancelled for."""

    def cancel(self, cause: Exception) -> None:
        """End the run, unless that was done already."""
        if self.cause is None:
            self.cause = cause
            self.scope.cancel()

    def sign_of_life(self, worker_id: str) -> TickRun:
        """Return the run as a ledger knows it."""
        entry = self.entry
        return TickRun(name=entry.name, queue=entry.queue, tick=self.moment.timestamp(), worker_id=worker_id)
