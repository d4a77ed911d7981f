"""Applies the overlap policy: starts, delays, replaces or skips runs when an earlier run of the entry goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import anyio
from anyio.abc import TaskGroup

from aioq.clock import Clock, wait_until
from aioq.cron import CronEntry
from aioq.errors import PartlyUnavailable
from aioq.model.cron import TickReason, TickRun
from aioq.protocols import TickLedger
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.cron.invoke import REPLACED, STOPPED, CronRun, Interrupted, Invoker
from aioq.worker.cron.recorder import Recorder
from aioq.worker.log import logger
from aioq.worker.shutdown import Shutdown

__all__ = ["CronTasks", "RUN_TTL", "Runs"]

RUN_TTL = 30.0
"""Seconds after its latest extension for which the ledger takes a run to go on. Extended three times as often."""


class CronTasks:
    """Starts tasks in a group that outlives the scheduler's loop, and counts them."""

    def __init__(self) -> None:
        self.group: TaskGroup | None = None
        """Set by the worker before the first tick."""
        self._running = 0
        self._idle = anyio.Event()

    def start(self, call: Callable[[], Awaitable[object]], name: str) -> None:
        """Start a task for the entry `name`. It counts at once: a stop may come before its first step."""
        assert self.group is not None  # noqa: S101  # the worker sets it before anything fires
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
            logger.exception(
                "cannot process a tick of cron task %s", name, extra={"event": "tick_not_processed", "cron_name": name}
            )
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()
                self._idle = anyio.Event()


@dataclass(slots=True)
class EntryRuns:
    """The runs of one entry on this worker."""

    running: list[CronRun] = field(default_factory=list[CronRun])
    waiting: CronRun | None = None

    def newest(self) -> CronRun:
        """Return the run that the ledger knows as the run of the entry."""
        return self.waiting or self.running[-1]


class Runs:
    """Starts runs, and knows those that go on. They end by themselves, or are cancelled."""

    def __init__(self, invoker: Invoker, recorder: Recorder, tasks: CronTasks, shutdown: Shutdown) -> None:
        self._invoker = invoker
        self._recorder = recorder
        self._tasks = tasks
        self._shutdown = shutdown
        self._entries: defaultdict[str, EntryRuns] = defaultdict(EntryRuns)
        self._check_now = anyio.Event()
        self._began = anyio.Event()
        """Set when a run of a unique entry begins."""

    def begin(self, entry: CronEntry, tick: datetime) -> None:
        """Run an entry for a tick: now, after an earlier run, or not at all."""
        run, runs = CronRun(entry, tick), self._entries[entry.name]
        if not runs.running:
            self._start(runs, run)
            return
        match entry.options.overlap:
            case "allow":
                _warn_of_overlap(run, runs.running[-1])
                self._start(runs, run)
            case "skip":
                self._skip(run, TickReason.OVERLAP)
            case "queue_one":
                self._wait(runs, run)
            # The new run waits until the old ones have cleaned up: the policy promises that no two run at a time.
            case "cancel":
                self._wait(runs, run)
                _cancel_all(runs)

    def check_replaced(self, entry: CronEntry) -> None:
        """Extend runs now instead of at the next interval: another worker may have won a later tick of an entry.

        With `cancel` its run replaces the one of this worker, which the ledger reports when it is extended.
        """
        if entry.options.overlap == "cancel" and entry.name in self._entries:
            self._check_now.set()

    async def extend(self, ledger: TickLedger, worker_id: str, retry: BrokerRetry, clock: Clock) -> None:
        """Extend the runs of unique entries in the ledger until cancelled; cancel those that were replaced."""
        while True:
            await self._began.wait()
            await wait_until(self._check_now, clock, RUN_TTL / 3)
            self._check_now = anyio.Event()
            # The ledger knows one run per entry, the newest. Older ones go on without it, with `allow` only.
            runs = [_tick_run(one.newest(), worker_id) for one in self._entries.values() if _is_in_ledger(one)]
            if runs:
                await retry.call(partial(self._extend_of, ledger, runs))
            else:
                self._began = anyio.Event()

    async def _extend_of(self, ledger: TickLedger, runs: Sequence[TickRun]) -> None:
        """Extend runs, and cancel those that were replaced, also if some queues cannot be reached."""
        try:
            lost = await ledger.extend_runs(runs, seconds=RUN_TTL)
        except PartlyUnavailable as error:
            self._replace_all(error.answer)
            raise
        self._replace_all(lost)

    def _replace_all(self, lost: Sequence[TickRun]) -> None:
        for run in lost:
            self._replace(run.name, run.tick)

    def _replace(self, name: str, tick: float) -> None:
        """Cancel the runs of an entry, since another worker runs it. With `allow` both go on."""
        runs = self._entries.get(name)
        if runs is None or runs.newest().tick.timestamp() != tick:
            return  # a newer run of this worker has replaced it meanwhile
        if runs.newest().entry.options.overlap != "allow":
            self._drop_waiting(runs, TickReason.OVERLAP)
            _cancel_all(runs)

    def _wait(self, runs: EntryRuns, run: CronRun) -> None:
        """Let a run wait for the end of an earlier one, in place of a run that waited before."""
        self._drop_waiting(runs, TickReason.OVERLAP)
        runs.waiting = run

    def _drop_waiting(self, runs: EntryRuns, reason: TickReason) -> None:
        if runs.waiting is not None:
            self._skip(runs.waiting, reason)
            runs.waiting = None

    def _skip(self, run: CronRun, reason: TickReason) -> None:
        """Record a tick that does not run. The claim of a unique entry has recorded it as fired already."""
        if run.entry.unique:
            self._recorder.not_run(run.entry, run.tick, f"not run: {reason}", reason)
        else:
            self._recorder.skipped(run.entry, run.tick, reason)

    def _start(self, runs: EntryRuns, run: CronRun) -> None:
        runs.running.append(run)
        if run.entry.unique:
            self._began.set()
        self._tasks.start(partial(self._work, runs, run), run.entry.name)

    async def _work(self, runs: EntryRuns, run: CronRun) -> None:
        fired_at = self._recorder.fired(run.entry, run.tick)
        error = STOPPED
        try:
            error = await self._invoker.process(run)
        except anyio.get_cancelled_exc_class():
            # The worker is cancelled: without this, `_start_waiting` would start the waiting run.
            self._drop_waiting(runs, TickReason.STOPPING)
            raise
        finally:
            # Before a waiting run starts, so that the ledger never has two that go on.
            self._recorder.ended(run.entry, run.tick, fired_at, error)
            runs.running.remove(run)
            self._start_waiting(runs, run.entry)

    def _start_waiting(self, runs: EntryRuns, entry: CronEntry) -> None:
        if self._shutdown.requested:
            self._drop_waiting(runs, TickReason.STOPPING)
        if not runs.running and (run := runs.waiting) is not None:
            runs.waiting = None
            self._start(runs, run)
        if not runs.running:  # entries without a run take no memory, and are not extended
            del self._entries[entry.name]


def _cancel_all(runs: EntryRuns) -> None:
    for run in runs.running:
        run.cancel(Interrupted(REPLACED))


def _is_in_ledger(runs: EntryRuns) -> bool:
    return bool(runs.running) and runs.newest().entry.unique


def _tick_run(run: CronRun, worker_id: str) -> TickRun:
    return TickRun(name=run.entry.name, queue=run.entry.queue, tick=run.tick.timestamp(), worker_id=worker_id)


def _warn_of_overlap(run: CronRun, earlier: CronRun) -> None:
    logger.warning(
        "cron task %s runs for %s while its run for %s is still going; set overlap= to prevent this",
        run.entry.name,
        run.tick.isoformat(),
        earlier.tick.isoformat(),
        extra={"event": "cron_overlaps", "cron_name": run.entry.name},
    )
