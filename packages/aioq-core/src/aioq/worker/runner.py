"""Runs jobs: calls the task with its arguments, within its timeout, and turns what happens into a settlement."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Any

import anyio

from aioq.errors import BadSignature, PayloadTooLarge, ResultSerializationError, SerializationError, UnknownTask
from aioq.events import JobEvent, run_fact
from aioq.handle import current_job
from aioq.instrumentation import Run, watched
from aioq.model.ids import TICK_IDS
from aioq.model.job import CancelledRun, Completed, Failed, JobKey, Lease, Released, Settlement
from aioq.model.workers import RunInfo, first_runs
from aioq.options import TaskOptions
from aioq.serialization.failure import describe, error_text
from aioq.serialization.mismatch import ArgumentMismatch
from aioq.task import Task
from aioq.threads import ThreadCall, in_thread
from aioq.worker.broker_retry import OUTAGES
from aioq.worker.cron import JobNotReady, ScheduledJobs
from aioq.worker.execution.anyio_tasks import AnyioTasks
from aioq.worker.execution.asyncio_tasks import AsyncioTasks
from aioq.worker.execution.protocol import OVERRUN_AFTER, Interrupted, JobTask, JobTasks
from aioq.worker.log import extra, job_of, logger
from aioq.worker.outcome import after_error, cannot_run, expired, unreadable
from aioq.worker.overruns import Overrun, Overruns
from aioq.worker.runtime import Runtime
from aioq.worker.settler import EVENTS, RunReport, Settler
from aioq.worker.shutdown import being_cancelled

__all__ = ["CancelReason", "Runner"]

CLOCK_TIMEOUT = 4.0
"""Timeout for reading the broker's clock, in seconds. The job cannot be cancelled meanwhile."""

CLOCK_RETRY_DELAY = 1.0
"""Seconds after which a job is claimed again if the broker rejected the request for its time."""


OVERRUN_RETRY_DELAY = 5.0
"""Seconds after which a job is claimed again if an earlier run of it goes on in this worker."""

TIMED_OUT = "its timeout is over"

_STARTED = JobEvent.STARTED  # to read it from its class takes longer

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class CancelReason(Enum):
    """Why a running job was cancelled from outside."""

    STOPPING = "the worker stops"
    LOST = "its lease was lost"
    CANCELLED = "it was cancelled"


class RunningJob:
    """A job that was started and has not ended."""

    __slots__ = ("began", "cancelled_for", "error", "key", "lease", "overrun", "task")

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.key: JobKey = (lease.queue, lease.job_id)
        self.task: JobTask | None = None
        """None until the job's task has made its first step."""
        self.cancelled_for: CancelReason | None = None
        self.overrun: Overrun | None = None
        """Set once the job was settled although its task goes on."""
        self.began: float | None = None
        """When its task was called, in monotonic seconds; None before that, and if its end was reported early."""
        self.error: BaseException | None = None
        """The exception with which the attempt failed."""

    @property
    def since(self) -> float | None:
        """When its task was called, in monotonic seconds; when it was interrupted, if that is all that is known."""
        if self.began is None and self.overrun is not None:
            return self.overrun.since
        return self.began


class Runner:
    """Starts jobs, and passes their settlements to the settler."""

    def __init__(self, runtime: Runtime, settler: Settler, scheduled: ScheduledJobs, overruns: Overruns) -> None:
        self._app = runtime.app
        self._events = runtime.app.events
        self._clock = runtime.clock
        self._monotonic = runtime.clock.monotonic
        self._worker_id = runtime.worker_id
        self._slots = runtime.slots
        self._leases = runtime.leases
        self._settler = settler
        self._scheduled = scheduled
        self._overruns = overruns
        # The slots limit the threads: a thread keeps its slot until it ends, even if its job ended before. anyio's own
        # limiter would free the place of a thread whose job has ended.
        self._in_thread = partial(in_thread, on_left=self._keep_slot, limiter=anyio.CapacityLimiter(math.inf))
        self._running: dict[JobKey, RunningJob] = {}
        self._tasks: JobTasks | None = None
        self.shared: Mapping[str, Any] = {}
        """What the app's lifespan yielded."""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Allow jobs to be started inside the block, and wait at its end until they have ended.

        If an exception or a cancellation ends the block, the jobs are cancelled and released.
        """
        # Decided here, not in the constructor: a worker may be built before an event loop runs.
        on_asyncio = anyio.get_cancelled_exc_class() is asyncio.CancelledError
        async with (AsyncioTasks if on_asyncio else AnyioTasks)(self._settle_overrun) as self._tasks:
            try:
                yield
            except BaseException:
                self.cancel_all()
                raise

    def start(self, lease: Lease) -> None:
        """Run a job in a free slot.

        If an earlier run of the same job is still running here, it has lost its lease, and is cancelled. If its task
        goes on although it was interrupted, the job is given back for a while, because it may run on another worker.
        """
        if self._tasks is None:
            raise RuntimeError("jobs can be started inside `running` only")
        job = RunningJob(lease)
        if (earlier := self._running.get(job.key)) is not None:
            if earlier.overrun is not None:
                self._settler.add(Released(lease=lease, delay=OVERRUN_RETRY_DELAY))
                return
            self.cancel(earlier.lease, CancelReason.LOST)
        self._running[job.key] = job
        # Here, not in the job's task: the next claim asks for as many jobs as there are free slots, and may be sent
        # before that task has made its first step.
        self._slots.take()
        self._tasks.start(self._run, job, f"job {lease.job_id}")

    def cancel(self, run: Lease | CancelledRun, reason: CancelReason) -> bool:
        """Cancel one run of a job; return False if it is not running here or is being cancelled already."""
        job = self._running.get((run.queue, run.job_id))
        # The first reason stays: a job whose lease was lost must not be released when the worker stops later.
        if job is None or job.cancelled_for or job.overrun is not None:
            return False
        # The news of a lost lease or a cancellation may be late: this worker may have claimed the job again since, or
        # a later job with the same id.
        if (job.lease.epoch, job.lease.enqueued_at) != (run.epoch, run.enqueued_at):
            return False
        job.cancelled_for = reason
        if job.task is not None:
            job.task.interrupt()
        return True

    def cancel_all(self) -> None:
        """Cancel every running job because the worker stops; each is released."""
        for job in list(self._running.values()):
            self.cancel(job.lease, CancelReason.STOPPING)

    def release_unfinished(self) -> None:
        """Release the jobs that run on although they were cancelled; their outcomes are not reported any more."""
        for job in list(self._running.values()):
            if job.task is None:  # a thread, for which the worker does not wait
                continue
            logger.error(
                "%s did not end when it was cancelled; the worker cannot end before it does",
                job_of(job.lease),
                extra=extra("job_ignores_cancellation", job.lease),
            )
            if job.cancelled_for is CancelReason.STOPPING:
                # As if the lease were lost: whatever the task does from now on is not reported.
                self._settler.add(Released(lease=job.lease, started=True), self._report(job))
                job.cancelled_for = CancelReason.LOST
                job.began = None

    def runs(self) -> tuple[RunInfo, ...]:
        """Return what runs now, as the worker reports it."""
        now, monotonic = self._clock.time(), self._monotonic()
        return first_runs(
            RunInfo(
                job_id=job.lease.job_id,
                queue=job.lease.queue,
                task=job.lease.task,
                attempt=job.lease.attempt,
                since=now - (monotonic - began),
                stuck=job.overrun is not None and job.overrun.stuck,
            )
            for job in self._running.values()
            if (began := job.since) is not None
        )

    async def _run(self, task: JobTask, job: RunningJob) -> None:
        """Run a job to its settlement; the body of its task."""
        current_job.set(job.lease)
        job.task = task
        try:
            settlement = self._after_cancel(job) if job.cancelled_for else await self._settlement(task, job)
        finally:
            # The same job may have been claimed and started again since.
            if self._running.get(job.key) is job:
                del self._running[job.key]
            # Before the outcome is written: otherwise every slot would be idle for one round trip after each job. The
            # lease stays in the table until then, so it is extended while the outcome waits.
            self._slots.release()
        if job.overrun is not None:
            self._overruns.remove(job.overrun)
        elif settlement is None:  # another worker has the job, or it was cancelled
            self._leases.drop(job.lease)
            self._tell_unsettled(job)
        elif type(settlement) is Completed:
            self._settler.add(settlement)
        else:
            self._settler.add(settlement, self._report(job))
            job.error = None  # its traceback refers to frames that refer to the job

    def _report(self, job: RunningJob) -> RunReport:
        return RunReport(self._ran(job), job.error)

    def _ran(self, job: RunningJob) -> float | None:
        """Return the seconds since the task of a job was called; None if it was not."""
        return None if job.began is None else self._monotonic() - job.began

    def _begin(self, job: RunningJob) -> None:
        """Note that the task of a job is called now."""
        job.began = self._monotonic()
        if _STARTED in self._events.listeners:
            self._events.fire(run_fact(_STARTED, job.lease, at=self._clock.time()))

    def _tell_unsettled(self, job: RunningJob) -> None:
        """Fire the event of a run that ends without an outcome."""
        event = _unsettled(job)
        if job.began is not None and event in self._events.listeners:
            duration = self._monotonic() - job.began
            self._events.fire(run_fact(event, job.lease, at=self._clock.time(), duration=duration))

    def _settle_overrun(self, job: RunningJob) -> None:
        """Settle a job whose task goes on although it was interrupted. The task keeps its slot until it ends."""
        reason = job.cancelled_for
        # A worker that stops waits longer, and then releases the job.
        if reason is CancelReason.STOPPING or job.task is None:
            return
        why = reason.value if reason else TIMED_OUT
        job.overrun = self._overruns.add(job.lease, why, job.task.stack, elapsed=OVERRUN_AFTER)
        if reason is None:
            task = self._app.tasks[job.lease.task]
            self._settler.add(_failed(job, task, _timeout_error(task.defaults)), self._report(job))
        else:
            self._leases.drop(job.lease)
            self._tell_unsettled(job)

    def _keep_slot(self, thread: ThreadCall) -> Callable[[], None]:
        """Take another slot for the thread of the current job, which ends before it; return what frees that slot.

        The job itself frees its own slot at the same moment.
        """
        lease = current_job.get()
        if lease is None:
            raise RuntimeError("the runner starts threads in the tasks of jobs only")
        rest = RunningJob(lease)
        job = self._running.get(rest.key)
        reason = job.cancelled_for if job is not None and job.lease is lease else None
        rest.overrun = overrun = self._overruns.add(
            lease, reason.value if reason else TIMED_OUT, thread.stack, elapsed=0.0
        )
        if job is None or job.lease is lease:
            self._running[rest.key] = rest
        self._slots.take()
        return partial(self._free_slot, rest, overrun)

    def _free_slot(self, rest: RunningJob, overrun: Overrun) -> None:
        if self._running.get(rest.key) is rest:
            del self._running[rest.key]
        self._overruns.remove(overrun)
        self._slots.release()

    async def _settlement(self, job_task: JobTask, job: RunningJob) -> Settlement | None:
        lease = job.lease
        # The worker's own clock may be wrong, and asking for the broker's is a round trip: only jobs that can expire
        # pay it.
        if lease.expires_at is not None:
            too_late = await self._check_expiry(lease)
            if job.cancelled_for:  # while the clock was read, which `interrupt` does not end
                return self._after_cancel(job)
            if too_late is not None:
                return too_late
        task = self._app.tasks.get(lease.task)
        if task is None:
            error = UnknownTask(f"this worker has no task named {lease.task}; is it an older or newer release?")
            return cannot_run(lease, error)
        try:
            arguments = task.read_arguments(lease)
        except ArgumentMismatch as error:
            return cannot_run(lease, error)
        except (BadSignature, SerializationError) as error:
            return unreadable(lease, error)
        except BaseException as error:  # a codec or a type that breaks: a fault of this worker, not of the job
            return _failed(job, task, error)
        attempt = self._watched_attempt if self._app.instruments else self._attempt
        return await attempt(job_task, job, task, arguments)

    async def _watched_attempt(
        self, job_task: JobTask, job: RunningJob, task: Task[..., Any], arguments: tuple[list[Any], dict[str, Any]]
    ) -> Settlement | None:
        run = Run(job.lease)
        with watched([one.running for one in self._app.instruments], run):
            settlement = await self._attempt(job_task, job, task, arguments)
            run.outcome = _unsettled(job) if settlement is None else EVENTS[type(settlement)]
            run.error = job.error
        return settlement

    async def _attempt(
        self, job_task: JobTask, job: RunningJob, task: Task[..., Any], arguments: tuple[list[Any], dict[str, Any]]
    ) -> Settlement | None:
        options = task.defaults
        try:
            work = self._work(job, task, *arguments)
            return self._completed(job, task, await job_task.run(work, options.timeout))
        except Interrupted:
            if job.cancelled_for:
                return self._after_cancel(job, started=True)
            return _failed(job, task, _timeout_error(options))
        except anyio.get_cancelled_exc_class() as error:
            if being_cancelled():
                raise
            # The task raised it itself, for example by awaiting a future that was cancelled: an error like any other.
            return _failed(job, task, error)
        except JobNotReady as early:
            # Not a retry: a job that waits for an earlier tick of its schedule has not failed, and must not use up
            # attempts.
            return Released(lease=job.lease, delay=early.delay)
        except BaseException as error:  # a task that raises SystemExit ends its job, not the worker
            if job.cancelled_for or being_cancelled():
                return self._after_cancel(job, started=True)
            return _failed(job, task, error)

    async def _check_expiry(self, lease: Lease) -> Settlement | None:
        """Return the settlement of a job that must not start any more, by the broker's clock; None if it may start."""
        try:
            with anyio.fail_after(CLOCK_TIMEOUT):
                return expired(lease, await self._app.broker.time())
        except OUTAGES:
            return Released(lease=lease)
        except Exception as error:
            logger.error(
                "%s is delayed: broker rejected the request for its time: %s",
                job_of(lease),
                error_text(error),
                extra={"event": "job_delayed"},
            )
            return Released(lease=lease, delay=CLOCK_RETRY_DELAY)

    @staticmethod
    def _after_cancel(job: RunningJob, *, started: bool = False) -> Settlement | None:
        """Return a release of the job; None if the job no longer belongs to this worker."""
        # A cancellation of the whole worker may reach the job before `cancel_all` has set a reason.
        if job.cancelled_for in (CancelReason.LOST, CancelReason.CANCELLED):
            return None
        return Released(lease=job.lease, started=started)

    def _work(self, job: RunningJob, task: Task[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Awaitable[Any]:
        context = self._context(job.lease)
        # The prefix of the id marks a schedule's job, so the other jobs need no look-up.
        if job.lease.job_id.startswith(TICK_IDS):
            return self._scheduled_work(job, task, context, args, kwargs)
        self._begin(job)
        return task.run(context, args, kwargs, in_thread=self._in_thread)

    async def _scheduled_work(
        self, job: RunningJob, task: Task[..., Any], context: dict[str, Any], args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        context |= await self._scheduled.prepare(job.lease, task)
        self._begin(job)
        return await task.run(context, args, kwargs, in_thread=self._in_thread)

    def _completed(self, job: RunningJob, task: Task[..., Any], result: object) -> Settlement:
        lease, options = job.lease, task.defaults
        retain_for = options.result_ttl if options.save_result else 0.0
        # A result that is not kept is not encoded either: such a task may return what has no JSON form.
        if not retain_for:
            return Completed(lease=lease, duration=self._monotonic() - (job.began or 0.0))
        try:
            data = task.encode_result(lease, result)
        # No retry: the work is done, a second run would repeat its effects and return the same kind of result.
        except ResultSerializationError as error:
            # Without its traceback, which would show nothing of the task.
            job.error = error.with_traceback(None)
            return Failed(lease=lease, failure=describe(job.error), retain_for=retain_for)
        except PayloadTooLarge as error:
            logger.warning(
                "the result of %s takes %d bytes, more than max_payload=%d, and was dropped",
                job_of(lease),
                error.size,
                error.limit,
                extra=extra("result_too_large", lease),
            )
            return Completed(lease=lease, retain_for=retain_for, duration=self._ran(job))
        return Completed(lease=lease, result=data, retain_for=retain_for, duration=self._ran(job))

    def _context(self, lease: Lease) -> dict[str, Any]:
        return {
            # First, so that a key of the lifespan cannot replace a key of the job.
            **self.shared,
            "worker_id": self._worker_id,
            "broker": self._app.broker,
            "job_id": lease.job_id,
            "attempt": lease.attempt,
            "epoch": lease.epoch,
            "queue": lease.queue,
            "enqueued_at": datetime.fromtimestamp(lease.enqueued_at, UTC),
            # Read-only: a broker in this process holds the same object.
            "headers": MappingProxyType(lease.headers) if lease.headers else _NO_HEADERS,
        }


def _failed(job: RunningJob, task: Task[..., Any], error: BaseException) -> Settlement:
    """Return the settlement of an attempt that raised."""
    job.error = error
    return after_error(task.defaults, job.lease, error, package=task.package)


def _unsettled(job: RunningJob) -> JobEvent:
    """Return the event of a run that ends without an outcome."""
    return JobEvent.CANCELLED if job.cancelled_for is CancelReason.CANCELLED else JobEvent.LOST


def _timeout_error(options: TaskOptions) -> TimeoutError:
    return TimeoutError(f"the task took longer than its timeout of {options.timeout:g} s")
