"""The worker: one task group runs its parts, and a shutdown ends them in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskStatus

from aioq.app import Aarq
from aioq.clock import Clock, SystemClock, pass_time
from aioq.conformance import unsupported
from aioq.errors import TooManyStuck
from aioq.events import WorkerEvent, WorkerFact
from aioq.handle import Workplace, workplace
from aioq.model.ids import check_name
from aioq.model.workers import WorkerInfo, weighted_names
from aioq.options import number, whole
from aioq.serialization.failure import error_text
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.cancellations import Cancellations
from aioq.worker.claimer import Claimer
from aioq.worker.cron import CronService
from aioq.worker.health import HealthCheck, Phase, WorkerHealth
from aioq.worker.heartbeat import Heartbeat
from aioq.worker.job_log import JobLog, LogJobs, check_log_jobs
from aioq.worker.log import logger, worker_id
from aioq.worker.overruns import Overrun, Overruns
from aioq.worker.reaper import Reaper
from aioq.worker.report import WorkerReport
from aioq.worker.runner import CancelReason, Runner
from aioq.worker.runtime import Runtime, default_id, select_queues, select_weights
from aioq.worker.settler import Settler
from aioq.worker.shutdown import Shutdown, race
from aioq.worker.summary import Summary
from aioq.worker.workload import LeaseTable, Slots

__all__ = ["Worker"]

SHUTDOWN_TIMEOUT = 5.0
"""Seconds a stopping worker has for each last step: to cancel tasks, report outcomes, release leases, disconnect."""

STOPS = ("SIGTERM", "SIGINT", "SIGHUP")
"""Names of the signals that stop a worker. Not every platform has SIGHUP."""

DEFAULT_SIGINT_HANDLERS = ("asyncio.runners", "trio._core._ki")
"""Modules whose handlers of SIGINT only raise KeyboardInterrupt, so that a worker may replace them."""


class Worker:
    """Runs an app's jobs and fires its crons: `await Worker(app).run()`.

    Args:
        app: The app whose tasks are run.
        queues: The queues to consume, in order of preference; all queues that the app's tasks and cron entries name
            when None. Or the weight of each, from 1 to 1,000: `{"critical": 6, "default": 3, "low": 1}`. Then each
            queue that has jobs gets the part of the claimed jobs that its weight is of the weights of such queues.
        concurrency: Jobs that may run at the same time; 1 to 10,000.
        lease: Seconds after which other workers take over the jobs of this one if it crashes; 1 to 3600. The worker
            extends the leases of running jobs three times in this time.
        max_block: Seconds for which a task may block the event loop without losing the worker's leases; 0 to 86,400.
            With a broker that has no `ThreadedLeases`, it is a lease at most.
        grace: Seconds that running jobs have to end after a stop; 0 to 86,400. Jobs that run longer are cancelled and
            released, and run again.
        poll: Seconds after which an idle worker asks for jobs without a signal; 0.01 to 3600, and a third of `lease`
            at most. The default is a third of `lease`, or 5 if the broker has no signals.
        max_stuck: Slots that may be stuck, which means that their tasks go on although they were interrupted at least 5
            seconds ago; with this number the worker drains and raises `TooManyStuck`. All slots when None.
        max_jobs: Jobs after which the worker ends: it claims no more, and lets those that run end, however long they
            take. Then a supervisor starts another one, and memory that tasks do not free is given back. None is no
            limit.
        log_jobs: Which ends of jobs get a line in the log: `all`; `failed`, without those that completed; `none`; or
            `auto`, which is all, but at most 100 completed and 100 failed jobs in a second, and a line for the others.
        burst: End as soon as no job is due and none is running, or the broker is away for a lease; fire no crons.
        handle_signals: Stop on SIGTERM, SIGINT and SIGHUP, unless the program handles or ignores them.
        id: The id of the worker; made of host, process id and a random part when None.
        clock: The worker's own clock, for tests.

    Raises:
        TypeError, ValueError: An argument is out of its range; the message names it.
    """

    def __init__(
        self,
        app: Aarq,
        *,
        queues: Iterable[str] | Mapping[str, int] | None = None,
        concurrency: int = 10,
        lease: float = 30.0,
        max_block: float = 60.0,
        grace: float = 25.0,
        poll: float | None = None,
        max_stuck: int | None = None,
        max_jobs: int | None = None,
        log_jobs: LogJobs = "auto",
        burst: bool = False,
        handle_signals: bool = True,
        id: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        whole("concurrency", concurrency, 1, 10_000)
        number("lease", lease, 1, 3600)
        number("max_block", max_block, 0, 86_400)
        number("grace", grace, 0, 86_400)
        if poll is not None:
            number("poll", poll, 0.01, 3600)
        if max_stuck is not None:
            whole("max_stuck", max_stuck, 1, concurrency)
        if max_jobs is not None:
            whole("max_jobs", max_jobs, 1, 10**9)
        self.app = app
        self.id = default_id() if id is None else check_name("worker id", id)
        self.weights = select_weights(queues)
        self.queues = select_queues(app, queues)
        self._grace = grace
        self._burst = burst
        self._handle_signals = handle_signals
        self._clock: Clock = clock or SystemClock()
        self._shutdown = Shutdown()
        self._slots = Slots(concurrency)
        self._leases = LeaseTable()
        retry = BrokerRetry(self._clock, events=app.events, worker_id=self.id)
        runtime = Runtime(
            app=app,
            worker_id=self.id,
            queues=self.queues,
            weights=self.weights,
            lease=lease,
            slots=self._slots,
            leases=self._leases,
            retry=retry,
            shutdown=self._shutdown,
            clock=self._clock,
        )
        self._cron = CronService(runtime)
        self._settler = Settler(
            app.broker,
            retry,
            self._leases,
            self._cron.jobs.settled,
            counts=app.counts,
            events=app.events,
            clock=self._clock,
        )
        self._overruns = Overruns(
            self._slots,
            self._clock,
            max_stuck=max_stuck or concurrency,
            on_limit=self._leave_stuck,
            on_stuck=self._tell_stuck,
        )
        self._runner = Runner(runtime, self._settler, self._cron.jobs, self._overruns)
        self._claimer = Claimer(runtime, poll=poll, burst=burst, max_jobs=max_jobs)
        self._heartbeat = Heartbeat(runtime, max_block=max_block)
        self._report = WorkerReport(
            runtime, all_queues=queues is None, runner=self._runner, heartbeat=self._heartbeat, overruns=self._overruns
        )
        self._health = HealthCheck(
            runtime, claimer=self._claimer, heartbeat=self._heartbeat, overruns=self._overruns,
            max_stuck=max_stuck or concurrency,
        )  # fmt: skip
        self._reaper = Reaper(runtime, self._heartbeat, self._settler)
        self._cancellations = Cancellations(app.broker, self.id, self._clock)
        self._job_log = JobLog(
            app.events, self.id, self._settler.outcomes, clock=self._clock, mode=check_log_jobs(log_jobs)
        )
        self.summary = Summary(app.events, self.id, self._settler.outcomes, slots=self._slots, clock=self._clock)
        """Counts what the worker has done, and logs it each minute and at the end."""
        self._started_at = 0.0
        self._startup: anyio.CancelScope | None = None
        self._outstayed = anyio.Event()
        self.too_many_stuck: TooManyStuck | None = None
        """What `run` raises at its end if the worker leaves because too many of its slots are stuck."""

    def stop(self) -> None:
        """Stop claiming jobs and firing crons, and end when the running jobs have ended; a second call aborts them.

        Aborted jobs are released: they run again, and the attempt does not count. If the worker is still starting, for
        example in the app's lifespan, the start is cancelled.
        """
        self._shutdown.request()
        if self._startup is not None:
            self._startup.cancel()

    def health(self) -> WorkerHealth:
        """Return whether the worker is live and ready, and why not, without a question to the broker."""
        return self._health.look()

    async def wait_outstayed(self) -> None:
        """Wait until only tasks that ignore their cancellation keep the worker from ending.

        Their jobs have been released and run again elsewhere. `run` returns when these tasks have ended; a program that
        has nothing else to do should exit without waiting for that.
        """
        await self._outstayed.wait()
        await self._leave()

    @property
    def has_run_max_jobs(self) -> bool:
        """Whether it has claimed as many jobs as it may, and ends because of that."""
        return self._claimer.left == 0

    async def run(self) -> None:
        """Run until stopped or, in a burst, until nothing is left to do.

        Once the worker has started, no error of the broker ends it, except in a burst. If it is cancelled, it releases
        its jobs. It connects the app and closes it at the end, unless the program had connected it before.

        Raises:
            TaskDefinitionError: The arguments or the result of a task cannot be encoded, by their annotations.
            BrokerUnavailable: The broker cannot be reached at the start; or a burst could not claim jobs for a lease.
            BrokerConfigError: The broker or its settings cannot be used; the message says why.
            MissingFeature: A cron entry needs a protocol that the broker cannot implement on the connected store.
            TooManyStuck: `max_stuck` slots are held by tasks that ignore their cancellation.
        """
        for task in self.app.tasks:
            _ = task.signature  # raises now, and not at the task's first job
        if self._shutdown.requested:
            return
        late = "a worker of the app is running, and fires what was defined before its start; define it at import"
        token = worker_id.set(self.id)
        try:
            with nullcontext() if self._burst else self.app.crons.closed(late), anyio.CancelScope() as self._startup:
                await self._run()
        finally:
            worker_id.reset(token)
        if self.too_many_stuck is not None:
            raise self.too_many_stuck
        if self._claimer.failure is not None:
            raise self._claimer.failure

    async def _run(self) -> None:
        async with self._connection(), self._lifespan() as shared:
            self._startup = None  # from now on `stop` drains, and cancels nothing
            self._cron.open()
            self._started_at = self._clock.time()
            began = self._clock.monotonic()
            self._runner.shared = shared
            self._cron.share(shared)
            self._job_log.open()
            self.summary.open()
            here = workplace.set(Workplace(self.id, self.queues, lambda: self._slots.free))
            try:
                await self._work()
            finally:
                workplace.reset(here)
                await self._leave()
                self._job_log.close()
                self.summary.close()
                self._health.phase = Phase.STOPPED
                self._tell(WorkerEvent.STOPPED, duration=self._clock.monotonic() - began)

    async def _work(self) -> None:
        """Run all parts. The inner groups end first: no more claims, then no more jobs, then no more reports."""
        async with anyio.create_task_group() as duties:
            # Before the log line: a program that has read it may send a signal.
            await duties.start(self._listen_to_signals)
            self._log_start()
            self._health.phase = Phase.RUNNING
            self._tell(WorkerEvent.STARTED)
            duties.start_soon(self._settler.run)
            duties.start_soon(self._job_log.run)
            duties.start_soon(self.summary.run)
            duties.start_soon(
                self._heartbeat.run, self._describe, partial(self._runner.cancel, reason=CancelReason.LOST)
            )
            duties.start_soon(self._reaper.run)
            duties.start_soon(self._claimer.end_after_stop)
            duties.start_soon(self._overruns.run)
            duties.start_soon(self._cron.run)
            duties.start_soon(self._cancellations.run, partial(self._runner.cancel, reason=CancelReason.CANCELLED))
            async with anyio.create_task_group() as jobs, self._runner.running():
                async with anyio.create_task_group() as intake:
                    # A task of its own: every claim resumes it, and the frames of this one would be resumed with it.
                    intake.start_soon(self._claimer.run, self._runner.start, self._settler.release)
                    if not self._burst:
                        intake.start_soon(race, partial(self._cron.fire, jobs), self._shutdown.draining.wait)
                await self._drain()
                jobs.cancel_scope.cancel()  # cron runs that are left; the runner has cancelled the jobs
                # In the outer group: the inner ones wait for exactly the tasks that it watches.
                duties.start_soon(self._watch_for_outstayers)
            with anyio.move_on_after(SHUTDOWN_TIMEOUT):
                await self._settler.wait_flushed()
            duties.cancel_scope.cancel()

    async def _drain(self) -> None:
        """Wait for running jobs until the grace is over or a second stop is requested; then cancel them."""
        if self._slots.taken:
            logger.info(
                "stopping: %d jobs have up to %g s to end",
                self._slots.taken,
                self._grace,
                extra={"event": "worker_draining"},
            )

        async def finish() -> None:
            await self._slots.wait_idle()
            await self._cron.wait_idle()

        await race(finish, self._shutdown.aborting.wait, partial(pass_time, self._clock, self._grace))
        self._runner.cancel_all()
        with anyio.move_on_after(SHUTDOWN_TIMEOUT):
            await self._slots.wait_idle()
        self._runner.release_unfinished()

    async def _watch_for_outstayers(self) -> None:
        """Set `_outstayed` if the jobs have not ended some time after their cancellation."""
        await anyio.sleep(SHUTDOWN_TIMEOUT)
        with anyio.move_on_after(SHUTDOWN_TIMEOUT):
            await self._settler.wait_flushed()
        self._outstayed.set()

    def _tell(self, event: WorkerEvent, **more: Any) -> None:
        if event in self.app.events.listeners:
            fact = WorkerFact(event=event, worker_id=self.id, at=self._clock.time(), queues=self.queues, **more)
            self.app.events.fire(fact)

    def _tell_stuck(self, overrun: Overrun) -> None:
        lease = overrun.lease
        self._tell(
            WorkerEvent.STUCK, job_id=lease.job_id, task=lease.task, stuck=self._overruns.stuck, reason=overrun.why
        )

    def _leave_stuck(self) -> None:
        """Drain, because nothing but another process frees the slots of tasks that cannot be stopped."""
        if not self._shutdown.requested:
            self.too_many_stuck = TooManyStuck(self.id, self._overruns.stuck, self._slots.total)
            stuck, slots = self._overruns.stuck, self._slots.total
            logger.error(
                "%d of %d slots are stuck, as many as max_stuck allows; the worker leaves",
                stuck,
                slots,
                extra={"event": "worker_stuck"},
            )
            self.stop()

    async def _leave(self) -> None:
        """Release the leases that are still held, and deregister the worker, even if it is being cancelled."""
        try:
            with anyio.fail_after(SHUTDOWN_TIMEOUT, shield=True):
                # Outcomes come first: without them finished jobs run again. The registration expires by itself.
                await self._settler.close()
                await self._cron.close()
                await self._heartbeat.leave(self.id)
        except Exception as error:
            if not self._leases:
                logger.warning(
                    "the worker stays in the broker's list until its registration expires: %s",
                    error_text(error),
                    extra={"event": "not_deregistered"},
                )
            else:
                logger.warning(
                    "the last report did not reach the broker; up to %d jobs run again when their leases expire: %s",
                    len(self._leases),
                    error_text(error),
                    extra={"event": "last_report_lost"},
                )
        with anyio.CancelScope(shield=True):
            await self.app.counts.close()
        self.summary.log_end()
        logger.info("worker %s stopped", self.id, extra={"event": "worker_stopped"})

    async def _listen_to_signals(self, *, task_status: TaskStatus[None]) -> None:
        stops = [signal.Signals[name] for name in STOPS if name in signal.Signals.__members__]
        names = [name for name in stops if self._handle_signals and _is_default(name)]
        # Python allows handlers in the main thread only.
        if not names or threading.current_thread() is not threading.main_thread():
            task_status.started()
            return
        with anyio.open_signal_receiver(*names) as signals:
            task_status.started()
            async for name in signals:
                logger.info("received %s", name.name, extra={"event": "signal_received"})
                self.stop()

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[None]:
        """Connect the app, and close it at the end unless the program had connected it before."""
        # A program that has connected the app may use it after the worker has ended.
        mine = not self.app.connected
        await self.app.connect()
        try:
            yield
        finally:
            if mine:
                await self._close()

    async def _close(self) -> None:
        try:
            with anyio.fail_after(SHUTDOWN_TIMEOUT, shield=True):
                await self.app.close()
        except Exception as error:
            logger.warning(
                "the connection could not be closed: %s", error_text(error), extra={"event": "connection_not_closed"}
            )

    @asynccontextmanager
    async def _lifespan(self) -> AsyncGenerator[Mapping[str, Any]]:
        if self.app.lifespan is None:
            yield {}
            return
        async with self.app.lifespan(self.app) as shared:
            yield shared or {}

    def _describe(self) -> WorkerInfo:
        return self._report.describe(self._started_at)

    def _log_start(self) -> None:
        logger.info(
            "worker %s started: queues %s, %d at a time, %d tasks, %d crons, %r",
            self.id, ", ".join(weighted_names(self.queues, tuple(self.weights.values()))), self._slots.total,
            len(self.app.tasks), 0 if self._burst else len(self._cron.entries), self.app.broker,
            extra={"event": "worker_started"},
        )  # fmt: skip
        for protocol, why in unsupported(self.app.broker).items():
            logger.warning(
                "%s works without aioq.protocols.%s: %s",
                type(self.app.broker).__name__, getattr(protocol, "__name__", protocol), why,
                extra={"event": "protocol_unsupported"},
            )  # fmt: skip


def _is_default(name: signal.Signals) -> bool:
    """Return whether a signal has the handler of Python or, for SIGINT, of the event loop's runner."""
    handler = signal.getsignal(name)
    owner = getattr(getattr(handler, "func", handler), "__module__", None)
    return handler in (signal.SIG_DFL, signal.default_int_handler) or owner in DEFAULT_SIGINT_HANDLERS
