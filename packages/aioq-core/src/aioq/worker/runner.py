"""Runs one job: its task on its arguments, within its deadline, to a settlement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import anyio

from aioq.app import Aarq
from aioq.errors import BadSignature, ResultSerializationError, SerializationError, UnknownTask
from aioq.model.ids import TICK_IDS
from aioq.model.job import Completed, Dead, Expired, Failed, Failure, Lease, Released, Retried, Settlement
from aioq.serialization.failure import describe, error_text, one_line
from aioq.task import Task
from aioq.worker.broker_retry import OUTAGES
from aioq.worker.cron import NotYet, ScheduledJobs
from aioq.worker.execution.anyio_tasks import AnyioTasks
from aioq.worker.execution.asyncio_tasks import AsyncioTasks
from aioq.worker.execution.protocol import Interrupted, JobTask, JobTasks
from aioq.worker.leases import LeaseTable
from aioq.worker.log import extra, job_of, logger
from aioq.worker.loop_monitor import current_job
from aioq.worker.outcome import after_error, expired, unknown_task, unreadable
from aioq.worker.settler import Settler
from aioq.worker.shutdown import being_cancelled
from aioq.worker.slots import Slots

__all__ = ["Cause", "Runner"]


PATIENCE = 4.0
"""Seconds in which the broker has to tell the time. Who asks cannot be cut short."""

AGAIN = 1.0
"""Seconds after which it is asked again when it refuses to."""


class Cause(Enum):
    """Why a running job was cancelled from outside."""

    STOPPING = "the worker stops"
    LOST = "its lease was lost"
    CANCELLED = "it was cancelled"


class RunningJob:
    """A job that was started."""

    __slots__ = ("cause", "lease", "running")

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.running: JobTask | None = None
        self.cause: Cause | None = None


class Runner:
    """Starts jobs, and hands their settlements to the settler."""

    def __init__(
        self,
        app: Aarq,
        worker_id: str,
        slots: Slots,
        leases: LeaseTable,
        settler: Settler,
        scheduled: ScheduledJobs,
    ) -> None:
        self._app, self._worker_id, self._scheduled = app, worker_id, scheduled
        self._slots, self._leases, self._settler = slots, leases, settler
        self._threads = anyio.CapacityLimiter(slots.total)
        self._runs: dict[str, RunningJob] = {}
        self._starter: JobTasks | None = None
        self.shared: Mapping[str, Any] = {}

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Make room for jobs to run beside the block; at its end, wait until they have ended.

        When an error or a cancellation ends the block, they are cancelled and released.
        """
        on_asyncio = anyio.get_cancelled_exc_class() is asyncio.CancelledError
        async with AsyncioTasks() if on_asyncio else AnyioTasks() as self._starter:
            try:
                yield
            except BaseException:
                self.cancel_all()
                raise

    def start(self, lease: Lease) -> None:
        """Run a job in a slot of its own; an earlier run of it here, whose lease it was, is lost."""
        if self._starter is None:
            raise RuntimeError("jobs are started inside `running` only")
        self.cancel(lease.job_id, Cause.LOST)
        run = self._runs[lease.job_id] = RunningJob(lease)
        self._slots.take()
        self._starter.start(self._work, run, f"job {lease.job_id}")

    def cancel(self, lease_or_id: Lease | str, cause: Cause) -> bool:
        """Cancel a running job; False when it is none of ours, or is being cancelled already.

        With a lease, only that very run.
        """
        job_id = lease_or_id if isinstance(lease_or_id, str) else lease_or_id.job_id
        run = self._runs.get(job_id)
        if run is None or run.cause or (isinstance(lease_or_id, Lease) and run.lease.epoch != lease_or_id.epoch):
            return False
        run.cause = cause
        if run.running is not None:
            run.running.cancel()
        return True

    def cancel_all(self) -> None:
        """Cancel every running job because the worker stops; each is released."""
        for run in list(self._runs.values()):
            self.cancel(run.lease, Cause.STOPPING)

    def disown(self) -> None:
        """Release the jobs that go on although they were cancelled: whatever they do is not reported."""
        for run in list(self._runs.values()):
            logger.error(
                "%s does not end though it was cancelled; the worker cannot end before it does",
                job_of(run.lease),
                extra=extra(run.lease),
            )
            if run.cause is Cause.STOPPING:
                self.give_back(run.lease)
                run.cause = Cause.LOST

    async def _work(self, running: JobTask, run: RunningJob) -> None:
        current_job.set(run.lease)
        run.running = running
        try:
            settlement = self._cut_short(run) if run.cause else await self._settlement(running, run)
        finally:
            if self._runs.get(run.lease.job_id) is run:
                del self._runs[run.lease.job_id]
            self._slots.release()
        if settlement is None:
            self._leases.drop(run.lease)
        else:
            _tell(settlement)
            self._settler.add(settlement)

    async def _settlement(self, running: JobTask, run: RunningJob) -> Settlement | None:
        if run.lease.expires_at is not None:
            over = await self._expired(run.lease)
            if run.cause:  # which came while the work that it cuts short had yet to begin
                return self._cut_short(run)
            if over is not None:
                return over
        task = self._app.tasks.get(run.lease.task)
        if task is None:
            error = UnknownTask(f"this worker has no task named {run.lease.task}; is it an older or newer release?")
            return unknown_task(run.lease, error)
        try:
            args, kwargs = task.arguments_of(run.lease)
        except (BadSignature, SerializationError) as error:
            return unreadable(run.lease, error)
        except BaseException as error:  # a codec or a type that breaks: this worker's fault, not the job's
            return after_error(task.defaults, run.lease, error)
        return await self._attempt(running, run, task, self._completed(run.lease, task, args, kwargs))

    async def _attempt(
        self, running: JobTask, run: RunningJob, task: Task[..., Any], work: Awaitable[Settlement]
    ) -> Settlement | None:
        options = task.defaults
        try:
            return await running.within(options.timeout, work)
        except Interrupted:
            if run.cause:
                return self._cut_short(run)
            late = TimeoutError(f"the task took longer than its timeout of {options.timeout:g} s")
            return after_error(options, run.lease, late)
        except anyio.get_cancelled_exc_class() as error:
            if being_cancelled():
                raise
            return after_error(options, run.lease, error)
        except NotYet as early:
            return Released(lease=run.lease, delay=early.delay)
        except BaseException as error:  # a task that raises SystemExit ends its job, not the worker
            if run.cause or being_cancelled():
                return self._cut_short(run)
            return after_error(options, run.lease, error)

    async def _expired(self, lease: Lease) -> Settlement | None:
        """Return how a job ends that comes too late by the broker's clock, which is worth a question."""
        try:
            with anyio.fail_after(PATIENCE):
                return expired(lease, await self._app.broker.time())
        except OUTAGES:
            return Released(lease=lease)
        except Exception as error:
            logger.error("%s has to wait: the broker refuses to tell the time: %s", job_of(lease), error_text(error))
            return Released(lease=lease, delay=AGAIN)

    def give_back(self, lease: Lease) -> None:
        """Release a job that was claimed and will not be started."""
        self._settler.add(Released(lease=lease))

    @staticmethod
    def _cut_short(run: RunningJob) -> Settlement | None:
        """Give a job back that was stopped; say nothing of one that is no longer ours."""
        return None if run.cause in (Cause.LOST, Cause.CANCELLED) else Released(lease=run.lease)

    async def _completed(
        self, lease: Lease, task: Task[..., Any], args: list[Any], kwargs: dict[str, Any]
    ) -> Settlement:
        context = self._context(lease)
        if lease.job_id.startswith(TICK_IDS):
            context |= await self._scheduled.prepare(lease, task)
        return self._stored(lease, task, await task.run(context, args, kwargs, limiter=self._threads))

    def _stored(self, lease: Lease, task: Task[..., Any], result: object) -> Settlement:
        options = task.defaults
        if not options.retain_for:
            return Completed(lease=lease)
        try:
            data = self._app.codec.encode(result)
        except SerializationError as error:
            wrong = ResultSerializationError(f"the result of {task.name} cannot be stored: {error}")
            return Failed(lease=lease, failure=describe(wrong), retain_for=options.result_ttl)
        if len(data) > self._app.max_payload:
            logger.warning(
                "the result of %s takes %d bytes, more than max_payload=%d, and was dropped",
                job_of(lease),
                len(data),
                self._app.max_payload,
                extra=extra(lease),
            )
            return Completed(lease=lease, retain_for=options.retain_for)
        return Completed(lease=lease, result=task.sealed_result(lease, data), retain_for=options.retain_for)

    def _context(self, lease: Lease) -> dict[str, Any]:
        return {
            **self.shared,
            "worker_id": self._worker_id,
            "broker": self._app.broker,
            "job_id": lease.job_id,
            "attempt": lease.attempt,
            "epoch": lease.epoch,
            "queue": lease.queue,
            "enqueued_at": datetime.fromtimestamp(lease.enqueued_at, UTC),
        }


def _tell(settlement: Settlement) -> None:
    """Log what went wrong; what went well only for those who ask for it."""
    lease = settlement.lease
    match settlement:
        case Completed():
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("%s completed", job_of(lease), extra=extra(lease))
        case Released(delay=delay):
            level = logging.DEBUG if delay else logging.INFO  # it may have to wait for long, a second each time
            logger.log(level, "%s was released, to run again", job_of(lease), extra=extra(lease))
        case Retried(delay=delay):
            logger.warning(
                "%s: attempt %d failed, next in %.3g s%s",
                job_of(lease),
                lease.attempt,
                delay,
                _why(settlement.failure),
                extra=extra(lease),
            )
        case Failed():
            logger.error("%s failed%s", job_of(lease), _why(settlement.failure), extra=extra(lease))
        case Expired(failure=failure):
            logger.warning("%s expired: %s", job_of(lease), one_line(failure.message), extra=extra(lease))
        case Dead(reason=reason):
            logger.error("%s is dead: %s%s", job_of(lease), reason, _why(settlement.failure), extra=extra(lease))


def _why(failure: Failure | None) -> str:
    return one_line(f": {failure.type}: {failure.message}") if failure else ""
