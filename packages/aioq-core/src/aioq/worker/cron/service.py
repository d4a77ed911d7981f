"""The duty that owns the others: which entries this worker carries, and the loops that fire them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from aioq.app import Aarq
from aioq.clock import BrokerClock, Clock
from aioq.cron import CronEntry, Tick
from aioq.protocols import TickLedger
from aioq.serialization.failure import error_text
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.cron.fleet import Acting, Contention
from aioq.worker.cron.invoke import Caller
from aioq.worker.cron.local import Firing
from aioq.worker.cron.recorder import Recorder
from aioq.worker.cron.registration import Attendance
from aioq.worker.cron.run import CronTasks
from aioq.worker.cron.runs import Runs
from aioq.worker.cron.scheduled_jobs import ScheduledJobs
from aioq.worker.cron.startup_log import greet, tell_of_clocks, tell_of_namesakes
from aioq.worker.cron.tick_claims import Bidding
from aioq.worker.log import logger
from aioq.worker.shutdown import Shutdown

__all__ = ["Cron"]

RESTART = 1.0
"""Seconds after which a loop that broke is started again."""


class Cron:
    """Runs the scheduler's loop, once on the host's clock and once on the broker's.

    Entries that fire once for the fleet live in the second one. A broker that is away holds
    up nothing in the first.
    """

    def __init__(
        self, app: Aarq, worker_id: str, queues: tuple[str, ...], retry: BrokerRetry, shutdown: Shutdown, clock: Clock
    ) -> None:
        self._app, self._worker_id, self._retry, self._shutdown, self._clock = app, worker_id, retry, shutdown, clock
        self.entries = [entry for entry in app.crons if entry.queue in queues and entry.options.enabled]
        self._ledger = app.broker if isinstance(app.broker, TickLedger) else None
        self._broker_clock = BrokerClock(clock)
        self._tasks = CronTasks()
        self._recorder = Recorder(self._ledger, worker_id, retry, clock, self._broker_clock)
        self._caller = Caller(app, worker_id, clock)
        self._runs = Runs(self._caller, self._recorder, self._tasks, shutdown)
        self._attendance = Attendance(app.name, app.crons, retry, self._broker_clock)
        self.jobs = ScheduledJobs(app, worker_id, self._ledger, self._recorder, self._broker_clock)

    def share(self, shared: Mapping[str, Any]) -> None:
        """Let calls see what the app's lifespan has yielded."""
        self._caller.shared = shared

    async def keep(self) -> None:
        """Keep the ledger informed, until cancelled: for as long as anything runs."""
        if self._ledger is None:
            return
        async with anyio.create_task_group() as duties:
            duties.start_soon(self._recorder.run)
            duties.start_soon(self._runs.keep_alive, self._ledger, self._worker_id, self._retry, self._clock)

    async def run(self, jobs: TaskGroup) -> None:
        """Fire until cancelled; what is fired runs in `jobs` and outlives this call."""
        self._tasks.group = jobs
        alone = [entry for entry in self.entries if not entry.unique]
        firing = Firing(self._attendance.paused, self._runs, self._recorder, self._tasks, self._shutdown, self._clock)
        async with anyio.create_task_group() as duties:
            duties.start_soon(self._loop, alone, firing.fire, self._clock)
            if self.entries:
                duties.start_soon(greet, self.entries, datetime.fromtimestamp(self._clock.time(), UTC))
                duties.start_soon(self._compare_clocks)
            if self._ledger is not None:
                tell_of_namesakes(self._app)
                duties.start_soon(self._attendance.run, self._ledger)
                duties.start_soon(self._contend, self._ledger)

    async def wait_idle(self) -> None:
        """Wait until nothing that was fired is still running."""
        await self._tasks.wait_idle()

    async def close(self) -> None:
        """Write down what is not in the ledger yet, in one try."""
        try:
            await self._recorder.close()
        except Exception as error:
            logger.warning("the ledger did not hear what became of the last ticks: %s", error_text(error))

    async def _contend(self, ledger: TickLedger) -> None:
        """Take part in the fleet, from when this worker is registered and knows the broker's time."""
        fleet = [entry for entry in self.entries if entry.unique]
        if not fleet:
            return
        await self._attendance.registered.wait()
        bidding = Bidding(ledger, self._worker_id, self._retry, self._shutdown, self._broker_clock)
        acting = Acting(self._runs, self._recorder, self._shutdown)
        contention = Contention(
            bidding, acting, self._worker_id, self._recorder, self._tasks, self._shutdown, self._broker_clock
        )
        async with anyio.create_task_group() as duties:
            duties.start_soon(self._loop, fleet, contention.fire, self._broker_clock)
            await checkpoint()  # a tick between the two is found twice, and won once
            await contention.catch_up(fleet)

    async def _loop(self, entries: Sequence[CronEntry], fire: Callable[[Tick], None], clock: Clock) -> None:
        while entries:
            try:
                await self._app.scheduler.run(entries, fire, clock=clock)
            except Exception:
                logger.exception("the cron loop broke and is started again")
            await self._clock.sleep(RESTART)

    async def _compare_clocks(self) -> None:
        asked = 0.0

        async def ask() -> float:
            nonlocal asked
            asked = self._clock.monotonic()
            return await self._app.broker.time()

        now = await self._retry.call(ask)
        tell_of_clocks(self._clock.time(), now, self._clock.monotonic() - asked)
