"""Optional protocols of a broker about jobs: looking them up, and waking those that wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from anyio import Event

from aioq.model.job import Claim, ClaimRequest, JobRecord, QueueStats
from aioq.model.states import JobState

__all__ = ["JobStore", "Signals"]


@runtime_checkable
class JobStore(Protocol):
    """A broker that can be asked about its jobs. `Job.result` needs it."""

    async def get_job(self, job_id: str, *, queue: str | None = None) -> JobRecord | None:
        """Return what is known of a job; None when nothing is, or nothing is kept.

        Without `queue` every queue is searched.
        """
        ...

    async def list_jobs(self, queue: str, state: JobState, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return jobs of one queue in one state: waiting ones in the order in which they run.

        That is by the moment at which they come due as long as that lies ahead. In which order the
        others come is up to the broker.
        """
        ...

    async def queue_stats(self) -> list[QueueStats]:
        """Return the counts of every queue that has been used, sorted by name."""
        ...

    async def cancel_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Call a job off; False when it has ended or is unknown.

        A running job is `cancelled` at once: its lease is lost, and where the broker has
        `Signals` its worker is told.
        """
        ...

    async def retry_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Put a failed, cancelled, dead or expired job back in line with a fresh count of
        attempts and crashes; False when it is unknown or in another state.

        It comes due now, waits behind others of its priority, and is not forgotten before it has
        ended again. Its epochs go on, so its former leases stay worthless.
        """
        ...

    async def list_dead_jobs(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return dead jobs, newest first."""
        ...


@runtime_checkable
class Signals(Protocol):
    """A broker that wakes those who wait. Without it workers and clients poll."""

    async def wait_and_claim(self, request: ClaimRequest, *, timeout: float, idle: Event | None = None) -> Claim:
        """Wait until there is something to claim, and then do what `Broker.claim` does.

        Claims after `timeout` seconds at the latest, and may do so early for no reason: an empty
        claim is no error. Must not wait through a job that came due after the worker's latest
        claim found none. A caller that gets no answer, or calls it off, does not know whether
        the claim was made, and asks `Broker.claim` with a `limit` of 0.

        Args:
            idle: Set once the worker runs no job; None when it runs none. Before that the claim
                must be made by the waiting call itself, not by the store on its behalf: a job
                that blocks the event loop would keep others waiting that were claimed meanwhile.
        """
        ...

    async def wait_for_result(self, job_id: str, *, queue: str, timeout: float) -> bool:
        """Wait until a job ends; False after `timeout` seconds. True at once if it has ended.

        Every final state is an end, and so is it when nothing is kept of the job any more.
        """
        ...

    def aborts(self, worker_id: str) -> AsyncIterator[str]:
        """Yield the ids of this worker's running jobs as they are cancelled, until closed.

        A worker listens again when it ends or raises. What it misses until then it learns when the
        lease is next extended, so nothing of the past need be told, and nothing is wrong with
        telling it. A broker that is no `JobStore` has nothing to tell.
        """
        ...
