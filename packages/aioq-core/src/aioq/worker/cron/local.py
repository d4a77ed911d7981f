"""Fires the entries that every worker fires by itself. No broker is asked."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime
from functools import partial

from anyio.lowlevel import checkpoint

from aioq.clock import Clock
from aioq.cron import CronEntry, Tick
from aioq.cron.misfire import decide
from aioq.model.cron import CronKey, TickReason
from aioq.worker.cron.due_ticks import wait_for_turn
from aioq.worker.cron.recorder import Recorder
from aioq.worker.cron.runs import CronTasks, Runs
from aioq.worker.shutdown import Shutdown

__all__ = ["LocalEntries"]


class LocalEntries:
    """Decides about ticks that have come due on the host's clock, and runs those that fire.

    Args:
        paused: The entries that are paused, as far as the worker knows.
        runs: Runs the ticks.
    """

    def __init__(
        self,
        paused: Container[CronKey],
        runs: Runs,
        *,
        recorder: Recorder,
        tasks: CronTasks,
        shutdown: Shutdown,
        clock: Clock,
    ) -> None:
        self._paused = paused
        self._runs = runs
        self._recorder = recorder
        self._tasks = tasks
        self._shutdown = shutdown
        self._clock = clock

    def fire(self, tick: Tick) -> None:
        """Fire a tick that has come due, and those that came due with it. Returns at once."""
        entry = tick.entry
        ticks = self._decide(entry, tick.first or tick.scheduled_at, tick.scheduled_at)
        # The usual case, in which nothing has to wait and no task is needed.
        if len(ticks) == 1 and not entry.options.jitter:
            self._begin(entry, ticks[0])
        elif ticks:
            self._tasks.start(partial(self._fire_in_turn, entry, ticks), entry.name)

    async def _fire_in_turn(self, entry: CronEntry, ticks: tuple[datetime, ...]) -> None:
        for tick in ticks:
            if not await wait_for_turn(entry, tick, self._clock, self._shutdown):
                self._recorder.skipped(entry, tick, TickReason.STOPPING)
            elif self._decide(entry, tick, tick):  # again: the host may have been suspended during the jitter
                self._begin(entry, tick)
            await checkpoint()

    def _decide(self, entry: CronEntry, first: datetime, newest: datetime) -> tuple[datetime, ...]:
        """Return the ticks that are to fire, and record the others."""
        decision = decide(entry, first, newest, datetime.fromtimestamp(self._clock.time(), UTC))
        self._recorder.not_fired(entry, decision.not_fired)
        return decision.fire

    def _begin(self, entry: CronEntry, tick: datetime) -> None:
        if entry.key in self._paused:
            self._recorder.skipped(entry, tick, TickReason.PAUSED)
        else:
            self._runs.begin(entry, tick)
