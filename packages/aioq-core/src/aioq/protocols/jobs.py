"""Defines the optional protocols about jobs: look-ups, cancellation, and signals to waiters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from anyio import Event

from aioq.model.job import CancelledRun, Claim, ClaimRequest, JobRecord, QueueStats
from aioq.model.states import JobState

__all__ = ["JobStore", "Signals"]


@runtime_checkable
class JobStore(Protocol):
    """A broker that can look up and change its jobs. `Job.result` needs it.

    A job is identified by its queue and its id.
    """

    async def get_job(self, job_id: str, *, queue: str) -> JobRecord | None:
        """Return the record of a job; None if there is none."""
        ...

    async def list_jobs(self, queue: str, state: JobState, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return jobs of one queue in one state.

        Pending jobs are in the order of execution, jobs that are not due yet in the order of their due times.
        The order of other states is not specified.
        """
        ...

    async def queue_stats(self) -> list[QueueStats]:
        """Return the counts of every queue that has held a job, sorted by name."""
        ...

    async def cancel_job(self, job_id: str, *, queue: str) -> bool:
        """Cancel a job; False if it has ended or is unknown.

        A running job is `cancelled` at once and its lease is lost. If the broker has `Signals`, it notifies
        the worker.
        """
        ...

    async def retry_job(self, job_id: str, *, queue: str) -> bool:
        """Let a job run again: one that failed, died, expired or was cancelled, or one that waits for its retry.

        Return False if it is in another state or unknown.

        1. Of a job that has ended, the attempts, crashes and hand-backs are counted from 0 again, and it no longer
           expires. Its epochs go on, so that old leases stay stale.
        2. It is due now, behind other jobs of its priority.
        3. Its record is not dropped before it has ended again.
        4. A job that waits for its retry (`retrying`) is due now. Nothing else of it changes: its attempts count on.
        """
        ...

    async def list_dead_jobs(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return dead jobs, newest first."""
        ...


@runtime_checkable
class Signals(Protocol):
    """A broker that notifies waiting workers and clients. Without it they poll."""

    async def wait_and_claim(self, request: ClaimRequest, *, timeout: float, idle: Event | None = None) -> Claim:
        """Wait until a job is due, and then do what `Broker.claim` does.

        1. It claims after `timeout` seconds at the latest, and may claim earlier. An empty claim is not an error.
        2. It must notice every job that came due after the worker's latest claim.
        3. A caller that gets no answer, or cancels the call, does not know whether the claim was made. It calls
           `Broker.claim` with the same request and a `limit` of 0.
        4. It lets other tasks run at least once, also if it claims at once: the worker waits again without a pause of
           its own.

        Args:
            request: The claim to make.
            timeout: Seconds to wait.
            idle: Set once the worker runs no job; None if it runs none. Until then, the store must not claim on
                behalf of the waiting call, because a task that blocks the event loop would hold up the jobs
                that were claimed meanwhile.
        """
        ...

    async def wait_for_result(self, job_id: str, *, queue: str, timeout: float) -> bool:
        """Wait until a job ends; False after `timeout` seconds. True at once if it has ended.

        A job in a final state has ended, and so has a job without a record.
        """
        ...

    def aborts(self, worker_id: str) -> AsyncIterator[CancelledRun]:
        """Yield this worker's runs as their jobs are cancelled, until closed.

        A cancelled job may be replayed at once, and the same worker may claim it before it reads of the cancellation:
        the epoch tells which of its runs was cancelled. Another queue may have a job with the same id.

        If the iterator ends or raises, the worker calls `aborts` again. Cancellations in between may be left
        out or repeated: the worker notices them when it next extends the lease. A broker without `JobStore`
        yields nothing.
        """
        ...
