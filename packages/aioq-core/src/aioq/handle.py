"""A client's hold on a job that it enqueued."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from aioq.clock import Clock, SystemClock
from aioq.errors import (
    JobCancelled,
    JobDead,
    JobEnded,
    JobExpired,
    JobFailed,
    MissingFeature,
    ResultTimeout,
    SerializationError,
)
from aioq.model.job import Failure, JobRecord
from aioq.model.states import FINAL_STATES, JobState
from aioq.protocols import Broker, JobStore, Signals

__all__ = ["Job"]

R_co = TypeVar("R_co", covariant=True)

WAIT = 10.0
"""Seconds after which a waiting client looks up the job even if nobody woke it."""

POLL = 0.5
"""Seconds between look-ups with a broker that wakes nobody."""

_CLOCK = SystemClock()


@dataclass(slots=True, eq=False, repr=False)
class Job(Generic[R_co]):
    """One enqueued job: ask for its state, wait for its result, call it off.

    `enqueue` returns one; `Task.job` makes one from a stored id.
    """

    id: str
    task: str = field(kw_only=True)
    """The name of the task."""
    queue: str = field(kw_only=True)
    broker: Broker = field(kw_only=True)
    """Where the job is stored."""
    decode: Callable[[bytes], R_co] = field(kw_only=True)
    """Makes a value of the stored result."""
    clock: Clock = field(kw_only=True, default=_CLOCK)

    def __repr__(self) -> str:
        return f"<Job {self.id} of {self.task} in {self.queue}>"

    async def info(self) -> JobRecord | None:
        """Return all that the broker knows; None when it knows nothing, or keeps nothing.

        Raises:
            MissingFeature: The broker is no `JobStore`.
            BrokerUnavailable: The broker cannot be reached.
        """
        return await self._store("Job.info").get_job(self.id, queue=self.queue)

    async def state(self) -> JobState | None:
        """Return where the job stands; None when the broker keeps nothing of it.

        Raises:
            MissingFeature: The broker is no `JobStore`.
            BrokerUnavailable: The broker cannot be reached.
        """
        record = await self._store("Job.state").get_job(self.id, queue=self.queue)
        return record.state if record else None

    async def cancel(self) -> bool:
        """Call the job off, running or not; False when it has ended already.

        A running task is cancelled at its next await.

        Raises:
            MissingFeature: The broker is no `JobStore`.
            BrokerUnavailable: The broker cannot be reached.
        """
        return await self._store("Job.cancel").cancel_job(self.id, queue=self.queue)

    async def result(self, timeout: float | None = None) -> R_co:
        """Wait until the job ends and return what its task returned.

        Args:
            timeout: Seconds to wait at most; for ever when None.

        Raises:
            JobFailed: The task raised, and had no attempt left.
            JobDead: No run could finish the job.
            JobExpired: The job was not started in time.
            JobCancelled: The job was called off.
            JobEnded: No result is kept: the task says `save_result=False`, the result was too
                large, its `result_ttl` is over, or the id was never enqueued.
            ResultTimeout: The job did not end in time; it goes on.
            SerializationError: The result does not fit the task's return annotation.
            BadSignature: Results are signed, and this one was changed or not signed by a worker of ours.
            MissingFeature: The broker is no `JobStore`.
            BrokerUnavailable: The broker cannot be reached.
        """
        store = self._store("Job.result")
        deadline = None if timeout is None else self.clock.monotonic() + timeout
        while True:
            record = await store.get_job(self.id, queue=self.queue)
            if record is None or record.state in FINAL_STATES:
                return self._outcome(record)
            left = WAIT if deadline is None else deadline - self.clock.monotonic()
            if left <= 0:
                raise ResultTimeout(self.id, timeout or 0.0)
            await self._wait(min(left, WAIT))

    async def _wait(self, seconds: float) -> None:
        if isinstance(self.broker, Signals):
            await self.broker.wait_for_result(self.id, queue=self.queue, timeout=seconds)
        else:
            await self.clock.sleep(min(seconds, POLL))

    def _outcome(self, record: JobRecord | None) -> R_co:
        if record is None:
            raise JobEnded(
                self.id,
                f"no result of job {self.id} is kept: {self.task} has save_result=False, "
                f"its result_ttl is over, or the job was never enqueued",
            )
        if record.state is JobState.FAILED:
            raise JobFailed(self.id, record.failure or Failure("Exception", "the broker has kept no reason"))
        if record.state is JobState.DEAD:
            raise JobDead(self.id, record.reason or "", record.failure.message if record.failure else "")
        if record.state is JobState.EXPIRED:
            raise JobExpired(self.id, record.failure.message if record.failure else "")
        if record.state is JobState.CANCELLED:
            raise JobCancelled(self.id)
        if record.result is None:
            raise JobEnded(self.id, f"job {self.id} completed, and its result was too large to keep")
        try:
            return self.decode(record.result)
        except SerializationError as error:
            raise SerializationError(f"the result of job {self.id} of {self.task}: {error}") from None

    def _store(self, needed_for: str) -> JobStore:
        if not isinstance(self.broker, JobStore):
            raise MissingFeature(self.broker, "JobStore", needed_for)
        return self.broker
