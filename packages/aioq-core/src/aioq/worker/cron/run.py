"""One run of a cron's function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

import anyio
from anyio.abc import TaskGroup

from aioq.cron import CronEntry
from aioq.model.cron import TickRun
from aioq.worker.log import logger

__all__ = ["CronRun", "CronTasks", "CutShort", "REPLACED", "STOPPED"]


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


class CronTasks:
    """Starts tasks in a group that is given later, and outlives the firing."""

    def __init__(self) -> None:
        self.group: TaskGroup | None = None
        self._running = 0
        self._idle = anyio.Event()

    def start(self, call: Callable[[], Awaitable[object]], name: str) -> None:
        """Start a task for the entry `name`. It counts from now on: a stop may come before its first step."""
        assert self.group is not None  # noqa: S101  # the worker gives it before anything fires
        self._running += 1
        self.group.start_soon(self._counted, call, name, name=f"cron {name}")

    async def wait_idle(self) -> None:
        """Wait until no task is left."""
        while self._running:
            await self._idle.wait()

    async def _counted(self, call: Callable[[], Awaitable[object]], name: str) -> None:
        try:
            await call()
        except Exception:
            logger.exception("a tick of cron task %s could not be dealt with", name, extra={"cron_name": name})
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()
                self._idle = anyio.Event()
