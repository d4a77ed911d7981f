"""Keeps the runs of an entry apart, as its `overlap` has it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import anyio

from aioq.clock import Clock, wait_until
from aioq.cron import CronEntry
from aioq.model.cron import TickReason
from aioq.protocols import TickLedger
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.cron.invoke import Caller
from aioq.worker.cron.recorder import Recorder
from aioq.worker.cron.run import REPLACED, STOPPED, CronRun, CronTasks, CutShort
from aioq.worker.log import logger
from aioq.worker.shutdown import Shutdown

__all__ = ["LIFE", "Runs"]

LIFE = 30.0
"""Seconds after its latest sign of life for which the fleet takes a run to go on."""


@dataclass(slots=True)
class Line:
    """The runs of one entry on this worker."""

    going: list[CronRun] = field(default_factory=list[CronRun])
    waiting: CronRun | None = None

    def newest(self) -> CronRun:
        """Return the run that stands for the entry in the fleet."""
        return self.waiting or self.going[-1]


class Runs:
    """Starts runs, and knows those that go on. They end by themselves, or are cut short."""

    def __init__(self, caller: Caller, recorder: Recorder, tasks: CronTasks, shutdown: Shutdown) -> None:
        self._caller, self._recorder, self._tasks, self._shutdown = caller, recorder, tasks, shutdown
        self._lines: defaultdict[str, Line] = defaultdict(Line)
        self._outrun = anyio.Event()

    def begin(self, entry: CronEntry, moment: datetime) -> None:
        """Run an entry for a tick: now, after an earlier run, or not at all."""
        run, line = CronRun(entry, moment), self._lines[entry.name]
        match entry.options.overlap:
            case "skip" if line.going:
                self._leave_out(run, TickReason.OVERLAP)
            case "queue_one" | "cancel" if line.going:
                self._wait(line, run)
            case _:
                if line.going:
                    _warn(run, line.going[-1])
                self._start(line, run)

    def outrun(self, entry: CronEntry) -> None:
        """Note that another worker may have won a later tick of an entry: its run, if there is one, is looked after."""
        if entry.options.overlap == "cancel" and entry.name in self._lines:
            self._outrun.set()

    async def keep_alive(self, ledger: TickLedger, worker_id: str, retry: BrokerRetry, clock: Clock) -> None:
        """Tell the fleet of runs that go on, until cancelled; cut short those that were replaced."""
        while True:
            await wait_until(self._outrun, clock, LIFE / 3)
            self._outrun = anyio.Event()
            signs = [line.newest().sign_of_life(worker_id) for line in self._lines.values() if _is_shared(line)]
            if signs:
                for lost in await retry.call(partial(ledger.extend_runs, signs, seconds=LIFE)):
                    self._replaced(lost.name, lost.tick)

    def _replaced(self, name: str, tick: float) -> None:
        """Give way to a run on another worker. With `allow` both go on."""
        line = self._lines.get(name)
        if line is None or line.newest().moment.timestamp() != tick:
            return  # by a newer one of our own, since
        entry = line.newest().entry
        if entry.options.overlap == "allow":
            return
        self._drop_waiting(line, TickReason.OVERLAP)
        for run in line.going:
            run.cancel(CutShort(REPLACED))

    def _wait(self, line: Line, run: CronRun) -> None:
        self._drop_waiting(line, TickReason.OVERLAP)
        line.waiting = run
        if run.entry.options.overlap == "cancel":
            for earlier in line.going:
                earlier.cancel(CutShort(REPLACED))

    def _drop_waiting(self, line: Line, reason: TickReason) -> None:
        if line.waiting is not None:
            self._leave_out(line.waiting, reason)
            line.waiting = None

    def _leave_out(self, run: CronRun, reason: TickReason) -> None:
        """Record a tick that does not run. One of the fleet is recorded as fired already, by its claim."""
        if run.entry.unique:
            self._recorder.not_run(run.entry, run.moment, f"not run: {reason}")
        else:
            self._recorder.skipped(run.entry, run.moment, reason)

    def _start(self, line: Line, run: CronRun) -> None:
        line.going.append(run)
        self._tasks.start(partial(self._work, line, run), run.entry.name)

    async def _work(self, line: Line, run: CronRun) -> None:
        self._recorder.fired(run)
        error = STOPPED
        try:
            error = await self._caller.call(run)
        except anyio.get_cancelled_exc_class():
            self._drop_waiting(line, TickReason.STOPPING)
            raise
        finally:
            self._recorder.ended(run, error)
            line.going.remove(run)
            self._next(line, run.entry)

    def _next(self, line: Line, entry: CronEntry) -> None:
        if self._shutdown.requested:
            self._drop_waiting(line, TickReason.STOPPING)
        if not line.going and (run := line.waiting) is not None:
            line.waiting = None
            self._start(line, run)
        if not line.going:
            del self._lines[entry.name]


def _is_shared(line: Line) -> bool:
    return bool(line.going) and line.newest().entry.unique


def _warn(run: CronRun, earlier: CronRun) -> None:
    logger.warning(
        "cron task %s runs for %s while its run of %s is still going; overlap= says what else to do",
        run.entry.name,
        run.moment.isoformat(),
        earlier.moment.isoformat(),
        extra={"cron_name": run.entry.name},
    )
