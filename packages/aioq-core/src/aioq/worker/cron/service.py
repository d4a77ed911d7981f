"""Owns the cron duties of a worker: the entries that it fires, the loops that fire them, and what they report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from aioq.clock import BrokerClock, Clock, wait_until
from aioq.conformance import supports, why_unsupported
from aioq.cron import CronEntry, Tick
from aioq.errors import MissingFeature
from aioq.protocols import Schedules, TickLedger
from aioq.serialization.failure import error_text
from aioq.worker.cron.claim_turns import ClaimTurns, TurnClock
from aioq.worker.cron.fleet import Fleet
from aioq.worker.cron.invoke import Invoker
from aioq.worker.cron.local import LocalEntries
from aioq.worker.cron.recorder import Recorder
from aioq.worker.cron.registration import RegistrationDuty
from aioq.worker.cron.runs import CronTasks, Runs
from aioq.worker.cron.scheduled_jobs import ScheduledJobs
from aioq.worker.cron.start_runs import PAUSES_KNOWN, armed_times, start_ticks, start_ticks_of_fleet
from aioq.worker.cron.startup_log import log_next_runs, warn_of_clock_difference, warn_of_equal_app_names
from aioq.worker.cron.stored import StoredSchedules
from aioq.worker.cron.tick_claims import TickClaims
from aioq.worker.cron.tick_events import TickEvents
from aioq.worker.log import logger
from aioq.worker.runtime import Runtime

__all__ = ["CronService"]

RESTART_DELAY = 1.0
"""Seconds after which a scheduler's loop that failed is started again."""


class CronService:
    """Runs the scheduler's loop twice: on the host's clock, and for the entries of the fleet on the broker's.

    If the broker is away, only the second loop waits for it.
    """

    def __init__(self, runtime: Runtime) -> None:
        app, worker_id, retry, clock = runtime.app, runtime.worker_id, runtime.retry, runtime.clock
        self._app = app
        self._runtime = runtime
        self._worker_id = worker_id
        self._retry = retry
        self._shutdown = runtime.shutdown
        self._clock = clock
        self.entries = [entry for entry in app.crons if entry.queue in runtime.queues and entry.options.enabled]
        self._ledger = app.broker if supports(app.broker, TickLedger) else None
        # All parts share it, so that each answer of the broker corrects it for all of them.
        self._broker_clock = BrokerClock(clock)
        self._tasks = CronTasks()
        self._tick_events = TickEvents(app.events, app.counts, worker_id, self._broker_clock)
        self._recorder = Recorder(
            self._ledger, self._tick_events,
            worker_id=worker_id, retry=retry, clock=clock, broker_clock=self._broker_clock,
        )  # fmt: skip
        self._invoker = Invoker(app, worker_id, clock)
        self._runs = Runs(self._invoker, self._recorder, self._tasks, self._shutdown)
        self._turns = ClaimTurns(worker_id, [entry for entry in self.entries if entry.unique])
        # All entries of the app, not only those of this worker's queues: an entry that is not registered is retired.
        self._registration = RegistrationDuty(app.name, app.crons, self._turns, retry=retry, clock=self._broker_clock)
        self.jobs = ScheduledJobs(app, worker_id, self._ledger, self._recorder, self._broker_clock)

    def open(self) -> None:
        """Do without the ledger if the broker, now that it is connected, cannot have one.

        Raises:
            MissingFeature: An entry of this worker needs the ledger.
        """
        if self._ledger is None or supports(self._app.broker, TickLedger):
            return
        if unique := [entry.name for entry in self.entries if entry.unique]:
            why = why_unsupported(self._app.broker, TickLedger)
            raise MissingFeature(self._app.broker, "TickLedger", f"cron entry {unique[0]}", why)
        self._ledger = None
        self._recorder.ledger = None
        self.jobs.ledger = None

    def share(self, shared: Mapping[str, Any]) -> None:
        """Add what the app's lifespan has yielded to the context of every run."""
        self._invoker.shared = shared

    async def run(self) -> None:
        """Write records and extend runs in the ledger until cancelled: also while the worker drains."""
        if self._ledger is None:
            return
        async with anyio.create_task_group() as duties:
            duties.start_soon(self._recorder.run)
            duties.start_soon(self._runs.extend, self._ledger, self._worker_id, self._retry, self._clock)

    async def fire(self, jobs: TaskGroup) -> None:
        """Fire ticks until cancelled. Their runs are tasks of `jobs`, and outlive this call."""
        # Runs are tasks of the group that outlives this call, so that they may end after a stop.
        self._tasks.group = jobs
        async with anyio.create_task_group() as duties:
            duties.start_soon(self._fire_local)
            if self.entries:
                duties.start_soon(log_next_runs, self.entries, datetime.fromtimestamp(self._clock.time(), UTC))
                duties.start_soon(self._compare_clocks)
            if self._ledger is not None:
                warn_of_equal_app_names(self._app)
                duties.start_soon(self._registration.run, self._ledger, self._app.broker.time)
                duties.start_soon(self._fire_fleet, self._ledger)
                store = self._app.broker
                if supports(store, Schedules):
                    stored = StoredSchedules(self._runtime, store, self._broker_clock, self._tick_events)
                    duties.start_soon(stored.run)

    async def wait_idle(self) -> None:
        """Wait until no tick is being claimed and no run goes on."""
        await self._tasks.wait_idle()

    async def close(self) -> None:
        """Write the records that are not in the ledger yet, without retries."""
        try:
            await self._recorder.close()
        except Exception as error:
            logger.warning(
                "the latest ticks could not be recorded: %s", error_text(error), extra={"event": "ticks_not_recorded"}
            )

    async def _fire_local(self) -> None:
        local = LocalEntries(
            self._registration.paused, self._runs,
            recorder=self._recorder, tasks=self._tasks, shutdown=self._shutdown, clock=self._clock,
        )  # fmt: skip
        entries = [entry for entry in self.entries if not entry.unique]
        async with anyio.create_task_group() as duties:
            duties.start_soon(self._loop, entries, local.fire, self._clock)
            if any(entry.options.run_on_start for entry in entries):
                await self._start_local(entries, local)

    async def _start_local(self, entries: Sequence[CronEntry], local: LocalEntries) -> None:
        if self._ledger is not None:
            await wait_until(self._registration.registered, self._clock, PAUSES_KNOWN)
        for tick in start_ticks(entries, datetime.fromtimestamp(self._clock.time(), UTC)):
            local.fire(tick)

    async def _fire_fleet(self, ledger: TickLedger) -> None:
        """Fire the entries of the fleet, once this worker is registered and knows the broker's time."""
        entries = [entry for entry in self.entries if entry.unique]
        if not entries:
            return
        # Before that, the time of the broker is not known, and the ledger may not know the entries.
        await self._registration.registered.wait()
        claims = TickClaims(ledger, self._worker_id, self._retry, self._shutdown, self._broker_clock)
        fleet = Fleet(
            claims, self._runs, self._turns,
            recorder=self._recorder, tasks=self._tasks, shutdown=self._shutdown, clock=self._broker_clock,
        )  # fmt: skip
        async with anyio.create_task_group() as duties:
            duties.start_soon(
                self._loop, entries, fleet.fire, TurnClock(self._broker_clock, self._turns), fleet.restart
            )
            await checkpoint()  # the loop starts first: a tick in between is then found twice and not never
            await fleet.catch_up(entries)
            if any(entry.options.run_on_start for entry in entries):
                armed = await self._retry.call(partial(armed_times, ledger, self._app.name))
                # After the backlog, which is older: a claim of this tick would take it away.
                for tick in start_ticks_of_fleet(
                    entries, armed, datetime.fromtimestamp(self._broker_clock.time(), UTC)
                ):
                    fleet.fire_beside(tick)

    async def _loop(
        self,
        entries: Sequence[CronEntry],
        fire: Callable[[Tick], None],
        clock: Clock,
        restart: Callable[[], None] = lambda: None,
    ) -> None:
        """Run the scheduler's loop; if it ends or raises, call `restart` and run it again."""
        while entries:
            try:
                await self._app.scheduler.run(entries, fire, clock=clock)
            except Exception:
                logger.exception("the cron loop failed and is started again", extra={"event": "cron_loop_failed"})
            await self._clock.sleep(RESTART_DELAY)
            restart()

    async def _compare_clocks(self) -> None:
        asked = 0.0  # set by each attempt, so that retries do not count as the time of the call

        async def ask() -> float:
            nonlocal asked
            asked = self._clock.monotonic()
            return await self._app.broker.time()

        now = await self._retry.call(ask)
        warn_of_clock_difference(self._clock.time(), now, self._clock.monotonic() - asked)
