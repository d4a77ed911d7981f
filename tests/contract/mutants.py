"""Variants of the memory broker, each with one defect that a suite must find."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager

from msgspec import structs

from aioq.backends import MemoryBroker
from aioq.backends.memory.waiters import Waiters
from aioq.clock import Clock
from aioq.model.cron import TickClaim, TickReply
from aioq.model.job import CancelledRun, Claim, ClaimRequest, JobRecord, Lease, NewJob, Reaped
from aioq.model.states import JobState

__all__ = [
    "AcceptsLateRequest",
    "AwaitsAborts",
    "DropsHeaders",
    "ForgetsCancelledJobs",
    "ForgetsDeadJobs",
    "ForgetsRequest",
    "ForgetsTickClaim",
    "LacksVersion",
    "LosesRepeatedLease",
    "NamesDueJobAsNext",
    "ReapsSilently",
    "ReplaysSilently",
    "ShowsPassword",
]


class ForgetsRequest(MemoryBroker):
    """Forgets the latest request of a worker after two seconds."""

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._requested: dict[str, float] = {}

    async def claim(self, request: ClaimRequest) -> Claim:
        """Claim."""
        now = await self.time()
        if now - self._requested.get(request.request_id, now) > 2:
            self._latest_claims.pop(request.worker_id, None)
        self._requested.setdefault(request.request_id, now)
        return await super().claim(request)


class AcceptsLateRequest(MemoryBroker):
    """Does not remember a request that took nothing."""

    async def claim(self, request: ClaimRequest) -> Claim:
        """Claim."""
        claim = await super().claim(request)
        if not claim.leases:
            self._latest_claims.pop(request.worker_id, None)
        return claim


class DropsHeaders(MemoryBroker):
    """Knows nothing of headers."""

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Enqueue."""
        return await super().enqueue([structs.replace(job, headers=None) for job in jobs])


class ForgetsDeadJobs(MemoryBroker):
    """Shows dead jobs for two seconds."""

    forgotten = JobState.DEAD

    async def get_job(self, job_id: str, *, queue: str) -> JobRecord | None:
        """Look a job up."""
        record = await super().get_job(job_id, queue=queue)
        over = record and record.state is self.forgotten and await self.time() - (record.finished_at or 0.0) > 2
        return None if over else record


class ForgetsCancelledJobs(ForgetsDeadJobs):
    """Shows cancelled jobs for two seconds."""

    forgotten = JobState.CANCELLED


class ForgetsTickClaim(MemoryBroker):
    """Remembers a claim of ticks for a second."""

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._claimed: dict[str, float] = {}

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide on a tick."""
        now = await self.time()
        known = self._claimed.setdefault(claim.request_id, now)
        late = now - known > 1
        return await super().claim_tick(
            structs.replace(claim, request_id=f"{claim.request_id}-late") if late else claim
        )


class LosesRepeatedLease(MemoryBroker):
    """Takes a lease for lost if a call names it twice."""

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Extend leases."""
        lost = await super().extend(leases, seconds=seconds)
        return lost + [lease for n, lease in enumerate(leases) if lease in leases[:n] and lease not in lost]


class NamesDueJobAsNext(MemoryBroker):
    """Looks only into the queues that the claim has reached for jobs that came due."""

    async def claim(self, request: ClaimRequest) -> Claim:
        """Claim."""
        now = await self.time()
        overdue = any((self._table.queues[queue].next_due() or now + 1) <= now for queue in request.queues[1:])
        claim = await super().claim(request)
        return structs.replace(claim, next_due=0.0) if overdue and len(claim.leases) == request.limit else claim


class Silent(MemoryBroker):
    """Can make a change without waking a waiter."""

    @contextmanager
    def unheard(self) -> Generator[None]:
        """Wake no waiter during the block."""
        waiters, self._table.waiters = self._table.waiters, Waiters()
        try:
            yield
        finally:
            self._table.waiters = waiters


class ReplaysSilently(Silent):
    """Wakes no worker when a job is put back into its queue."""

    async def retry_job(self, job_id: str, *, queue: str) -> bool:
        """Put a job back."""
        with self.unheard():
            return await super().retry_job(job_id, queue=queue)


class ReapsSilently(Silent):
    """Wakes no worker when a job is reaped."""

    async def reap(self, queues: Sequence[str], *, lease: float = 30.0, limit: int = 100) -> list[Reaped]:
        """Reap."""
        with self.unheard():
            return await super().reap(queues, lease=lease, limit=limit)


class ShowsPassword(MemoryBroker):
    """Shows its URL."""

    def __init__(self, url: str = "memory://", *, clock: Clock | None = None) -> None:
        super().__init__(clock=clock)
        self._url = url

    def __repr__(self) -> str:
        return f"ShowsPassword({self._url!r})"


class LacksVersion(MemoryBroker):
    """States no version of the protocols."""

    protocol_version = 0


class AwaitsAborts(MemoryBroker):
    """Has another signature than the protocol."""

    async def aborts(self, worker_id: str) -> AsyncIterator[CancelledRun]:  # type: ignore[override]
        """Yield cancelled runs."""
        return super().aborts(worker_id)
