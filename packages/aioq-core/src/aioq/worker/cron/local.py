"""Fires the entries that every worker fires by itself. No broker is asked."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime
from functools import partial

from anyio.lowlevel import checkpoint

from aioq.clock import Clock
from aioq.cron import CronEntry, Tick
from aioq.cron.misfire import judge
from aioq.model.cron import CronKey, TickReason
from aioq.worker.cron.due_ticks import wait_for_turn
from aioq.worker.cron.recorder import Recorder
from aioq.worker.cron.run import CronTasks
from aioq.worker.cron.runs import Runs
from aioq.worker.shutdown import Shutdown

__all__ = ["Firing"]


class Firing:
    """Decides about ticks that have come due, and has the chosen ones run.

    Args:
        paused: The entries that are paused, as far as is known.
    """

    def __init__(
        self,
        paused: Container[CronKey],
        runs: Runs,
        recorder: Recorder,
        tasks: CronTasks,
        shutdown: Shutdown,
        clock: Clock,
    ) -> None:
        self._paused, self._runs, self._recorder = paused, runs, recorder
        self._tasks, self._shutdown, self._clock = tasks, shutdown, clock

    def fire(self, tick: Tick) -> None:
        """Act on a tick that has come due, and on those that came due with it. Returns at once."""
        entry = tick.entry
        chosen = self._judge(entry, tick.first or tick.scheduled_at, tick.scheduled_at)
        if len(chosen) == 1 and not entry.options.jitter:
            self._fire(entry, chosen[0])
        elif chosen:
            self._tasks.start(partial(self._one_by_one, entry, chosen), entry.name)

    async def _one_by_one(self, entry: CronEntry, moments: tuple[datetime, ...]) -> None:
        for moment in moments:
            if not await wait_for_turn(entry, moment, self._clock, self._shutdown):
                self._recorder.skipped(entry, moment, TickReason.STOPPING)
            elif self._judge(entry, moment, moment):  # once more: a wait may have taken too long
                self._fire(entry, moment)
            await checkpoint()

    def _judge(self, entry: CronEntry, first: datetime, newest: datetime) -> tuple[datetime, ...]:
        """Return the ticks that are to fire; the others are recorded."""
        verdict = judge(entry, first, newest, datetime.fromtimestamp(self._clock.time(), UTC))
        self._recorder.left(entry, verdict.left)
        return verdict.fire

    def _fire(self, entry: CronEntry, moment: datetime) -> None:
        if entry.key in self._paused:
            self._recorder.skipped(entry, moment, TickReason.PAUSED)
        else:
            self._runs.begin(entry, moment)
