"""Defines the handle of a job: asks the broker for its state and result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Generic, TypeVar

from aioq.clock import Clock, SystemClock
from aioq.errors import (
    ENDED_WITH,
    JobNotFound,
    MissingFeature,
    ResultDropped,
    ResultTimeout,
    SerializationError,
)
from aioq.model.job import JobRecord
from aioq.model.states import FINAL_STATES, JobState
from aioq.protocols import Broker, JobStore, Signals

__all__ = ["Job"]

R_co = TypeVar("R_co", covariant=True)

MAX_WAIT = 10.0
"""Seconds after which a waiting client looks the job up even if no signal came."""

POLL_INTERVAL = 0.5
"""Seconds between look-ups if the broker has no `Signals`."""

_CLOCK = SystemClock()


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

    async def cancel(self) -> bool:
        """Cancel the job, running or not; False if it has already ended or is unknown.

        The worker cancels a running task at its next `await`.

        Raises:
            MissingFeature: The broker does not implement `JobStore`.
            BrokerUnavailable: The broker cannot be reached.
        """
        return await self._store("Job.cancel").cancel_job(self.id, queue=self.queue)

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
        deadline = None if timeout is None else self.clock.monotonic() + timeout
        while True:
            record = await store.get_job(self.id, queue=self.queue)
            if record is None or record.state in FINAL_STATES:
                return self._outcome(record)
            left = MAX_WAIT if deadline is None else deadline - self.clock.monotonic()
            # After the look-up, so that a timeout of 0 asks once.
            if left <= 0:
                raise ResultTimeout(self.id, timeout or 0.0)
            # A signal can be lost with its connection, so no wait is longer than `MAX_WAIT`.
            await self._wait(min(left, MAX_WAIT))

    async def _wait(self, seconds: float) -> None:
        if isinstance(self.broker, Signals):
            await self.broker.wait_for_result(self.id, queue=self.queue, timeout=seconds)
        else:
            await self.clock.sleep(min(seconds, POLL_INTERVAL))

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
        if not isinstance(self.broker, JobStore):
            raise MissingFeature(self.broker, "JobStore", needed_for)
        return self.broker
