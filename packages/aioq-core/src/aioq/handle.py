"""Defines the handle of a job: asks the broker for its state and result."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import KW_ONLY, dataclass
from typing import Generic, TypeVar

import anyio

from aioq.clock import Clock, SystemClock
from aioq.conformance import supports, why_unsupported
from aioq.errors import (
    ENDED_WITH,
    AioqError,
    JobNotFound,
    MissingFeature,
    ResultDropped,
    ResultTimeout,
    SerializationError,
)
from aioq.events import Events, JobEvent, JobFact
from aioq.model.job import JobRecord, Lease
from aioq.model.states import FINAL_STATES, JobState
from aioq.model.workers import WorkerInfo
from aioq.protocols import Broker, JobStore, Signals, WorkerRegistry

__all__ = ["Job", "Workplace", "current_job", "workplace"]

R_co = TypeVar("R_co", covariant=True)

MAX_WAIT = 10.0
"""Seconds after which a waiting client looks the job up even if no signal came."""

STANDSTILL = 0.5
"""Seconds by which a wait of a broker in this process must be late to conclude that its clock stands still."""

PRECISION = 0.001
"""Seconds by which a warning may come early: a wait may end a rounding error before its time."""

POLL_INTERVAL = 0.5
"""Seconds between look-ups if the broker has no `Signals`."""

WARN_AFTER = 5.0
"""Seconds after which a job that waits for another one, which cannot start, is logged."""

_CLOCK = SystemClock()

logger = logging.getLogger("aioq.client")


@dataclass(frozen=True, slots=True)
class Workplace:
    """The worker in which code runs."""

    worker_id: str
    queues: tuple[str, ...]
    free_slots: Callable[[], int]


workplace: ContextVar[Workplace | None] = ContextVar("aioq_workplace", default=None)
"""The worker in which the current code runs. All tasks of a worker inherit it."""

current_job: ContextVar[Lease | None] = ContextVar("aioq_current_job", default=None)
"""The job for which the current code runs. The runner sets it in each job's task; tasks started there inherit it."""


@dataclass(slots=True, eq=False, repr=False)
class Job(Generic[R_co]):
    """The handle of one enqueued job: returns its state, waits for its result, cancels it.

    `Task.enqueue` returns one; `Task.job` makes one from a job id.
    """

    id: str
    _: KW_ONLY
    task: str
    queue: str
    broker: Broker
    decode: Callable[[bytes], R_co]
    """Decodes the stored result."""
    clock: Clock = _CLOCK
    """Measures the timeout of `result`."""
    events: Events | None = None
    """Where `cancel` tells that it has cancelled the job."""

    def __repr__(self) -> str:
        return f"<Job {self.id} of {self.task} in {self.queue}>"

    async def info(self) -> JobRecord | None:
        """Return the record of the job; None if it was never stored, or is no longer kept.

        Raises:
            MissingFeature: The broker does not implement `JobStore`.
            BrokerUnavailable: The broker cannot be reached.
        """
        return await self._store("Job.info").get_job(self.id, queue=self.queue)

    async def state(self) -> JobState | None:
        """Return the state of the job; None if the broker has no record of it.

        Raises:
            MissingFeature: The broker does not implement `JobStore`.
            BrokerUnavailable: The broker cannot be reached.
        """
        record = await self._store("Job.state").get_job(self.id, queue=self.queue)
        return record.state if record else None

    async def cancel(self, *, by: str = "") -> bool:
        """Cancel the job, running or not; False if it has already ended or is unknown.

        The worker cancels a running task at its next `await`.

        Args:
            by: The one that cancels it, for the event `JobEvent.CANCELLED`. In a task it is by default the job that
                runs, as `job <id>`.

        Raises:
            MissingFeature: The broker does not implement `JobStore`.
            BrokerUnavailable: The broker cannot be reached.
        """
        cancelled = await self._store("Job.cancel").cancel_job(self.id, queue=self.queue)
        if cancelled and self.events is not None and JobEvent.CANCELLED in self.events.listeners:
            lease = current_job.get()
            self.events.fire(
                JobFact(
                    event=JobEvent.CANCELLED,
                    job_id=self.id,
                    queue=self.queue,
                    task=self.task,
                    at=self.clock.time(),
                    by=by or (f"job {lease.job_id}" if lease else ""),
                )
            )
        return cancelled

    async def result(self, timeout: float | None = None) -> R_co:
        """Wait until the job ends and return the result of its task.

        Args:
            timeout: Seconds to wait; no limit when None.

        Raises:
            JobFailed: The task raised, and no attempt is left.
            JobDead: No further attempt can complete the job.
            JobExpired: The job was not started in time.
            JobCancelled: The job was cancelled.
            ResultDropped: The job completed, and its result was too large, or the broker too full, to store it.
            JobEnded: The base of the five above: the job ended without a result.
            JobNotFound: Nothing is known of the job: the task has `save_result=False`, its `result_ttl` is over,
                the broker lost its data, or the id was never enqueued.
            ResultTimeout: The job did not end in time. It was not cancelled.
            SerializationError: The result does not fit the task's return annotation.
            BadSignature: The app has signing keys, and the result's signature is missing or wrong.
            MissingFeature: The broker does not implement `JobStore`.
            BrokerUnavailable: The broker cannot be reached.
        """
        store = self._store("Job.result")
        started = self.clock.monotonic()
        warn_at: float | None = started + (WARN_AFTER if current_job.get() else MAX_WAIT)
        while True:
            record = await store.get_job(self.id, queue=self.queue)
            if record is None or record.state in FINAL_STATES:
                return self._outcome(record)
            now = self.clock.monotonic()
            left = MAX_WAIT if timeout is None else started + timeout - now
            # After the look-up, so that a timeout of 0 asks once.
            if left <= 0:
                raise ResultTimeout(self.id, timeout or 0.0, await self._obstacle(record))
            if warn_at is not None and now >= warn_at - PRECISION:
                warn_at = None
                await self._warn(record)
            # A signal can be lost with its connection, so no wait is longer than `MAX_WAIT`.
            await self._wait(min(left, MAX_WAIT if warn_at is None else warn_at - now))

    async def _wait(self, seconds: float) -> None:
        if not supports(self.broker, Signals):
            await self.clock.sleep(min(seconds, POLL_INTERVAL))
        elif self._in_process and isinstance(self.clock, SystemClock):
            await self._wait_for_signal_in_process(self.broker, seconds)
        else:
            await self.broker.wait_for_result(self.id, queue=self.queue, timeout=seconds)

    async def _wait_for_signal_in_process(self, signals: Signals, seconds: float) -> None:
        """Wait for a signal of a broker whose clock a test may have in hand, and which may stand still."""
        before = await self.broker.time()
        with anyio.move_on_after(seconds + STANDSTILL):
            await signals.wait_for_result(self.id, queue=self.queue, timeout=seconds)
            return
        if await self.broker.time() == before:
            hint = "the broker's virtual clock stands still: let another task call its advance() while this one waits"
            raise ResultTimeout(self.id, seconds, hint)

    @property
    def _in_process(self) -> bool:
        return getattr(self.broker, "in_process", False)

    async def _warn(self, record: JobRecord) -> None:
        """Log why the job has not started after a while, if it is known."""
        waiting, here = current_job.get(), workplace.get()
        if obstacle := await self._obstacle(record):
            logger.warning(
                "job %s of %s has not started: %s", self.id, self.task, obstacle, extra={"event": "job_not_started"}
            )
        elif record.state is JobState.PENDING and waiting and here and not await self._has_free_slot(here):
            logger.warning(
                "job %s waits for the result of job %s, which cannot start: all slots of the workers for queue %s are "
                "taken, perhaps by jobs that wait in the same way; raise the concurrency, or do not wait in a job",
                waiting.job_id, self.id, self.queue, extra={"event": "job_waits_for_slot"},
            )  # fmt: skip

    async def _obstacle(self, record: JobRecord) -> str:
        """Return what is to be done so that a worker can start the job; empty if it is not known."""
        workers = await self._workers() if record.state is JobState.PENDING else None
        if workers is None or any(self.queue in worker.queues for worker in workers):
            return ""
        if self._in_process:
            return (
                f"no worker of this process consumes queue {self.queue}, and other processes do not share the memory "
                f"broker; run a Worker of the app in this process, or set AIOQ_BROKER_URL"
            )
        return f"no worker that is up consumes queue {self.queue}; start one with -q {self.queue}"

    async def _has_free_slot(self, here: Workplace) -> bool:
        if self.queue in here.queues and here.free_slots() > 0:
            return True
        return any(
            self.queue in worker.queues and worker.running < worker.concurrency
            for worker in await self._workers() or ()
            if worker.id != here.worker_id
        )

    async def _workers(self) -> list[WorkerInfo] | None:
        """Return the workers that are up; None if the broker cannot say."""
        try:
            return await self.broker.list_workers() if supports(self.broker, WorkerRegistry) else None
        except AioqError:  # it is for a message only
            return None

    def _outcome(self, record: JobRecord | None) -> R_co:
        if record is None:
            raise JobNotFound(self.id, self.task)
        if (ended := ENDED_WITH.get(record.state)) is not None:
            raise ended(record)
        if record.result is None:
            raise ResultDropped(self.id, record.reason or "too_large")
        try:
            return self.decode(record.result)
        except SerializationError as error:
            # Raised again with the job and the task, which the decoder does not know.
            raise SerializationError(f"the result of job {self.id} of {self.task}: {error}") from None

    def _store(self, needed_for: str) -> JobStore:
        if not supports(self.broker, JobStore):
            raise MissingFeature(self.broker, "JobStore", needed_for, why_unsupported(self.broker, JobStore))
        return self.broker
