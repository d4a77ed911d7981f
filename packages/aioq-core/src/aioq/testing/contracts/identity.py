"""Tests that a job is identified by its queue and its id: jobs of two queues may have the same id."""

from __future__ import annotations

import pytest

from aioq.errors import JobConflict
from aioq.model.job import Completed, Lease, Settled
from aioq.model.states import JobState
from aioq.protocols import Broker, JobStore
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["IdentityContract", "StoredIdentityContract"]

P, Q = "p", "q"


class IdentityContract(BrokerSuite):
    """Calls of `Broker` keep jobs of two queues apart that have the same id."""

    async def twins(self, broker: Broker, *, lease: float = 60.0) -> tuple[Lease, Lease]:
        """Enqueue jobs with one id in the queues p and q, and claim both for one worker."""
        await broker.enqueue([self.job("a", queue=P, payload=b"of p"), self.job("a", queue=Q, payload=b"of q")])
        of_p, of_q = await self.claim(broker, queues=(P, Q), lease=lease)
        return of_p, of_q

    async def test_enqueue_same_id_in_other_queue_is_another_job(self, broker: Broker) -> None:
        """An id that is known in one queue is free in another one, for any task and payload, and in one call, too."""
        assert await broker.enqueue([self.job("a", queue=P, payload=b"1")]) == [True]
        assert await broker.enqueue([self.job("a", queue=Q, payload=b"2", task="tasks.play")]) == [True]
        both = [self.job("b", queue=P), self.job("b", queue=Q, payload=b"2")]
        assert await broker.enqueue(both) == [True, True]
        assert await broker.enqueue(both) == [False, False]
        leases = await self.claim(broker, queues=(Q, P))
        assert [(lease.queue, lease.job_id, lease.payload) for lease in leases] == [
            (Q, "a", b"2"), (Q, "b", b"2"), (P, "a", b"1"), (P, "b", b"{}"),
        ]  # fmt: skip

    async def test_enqueue_conflict_names_queue(self, broker: Broker) -> None:
        """A conflict in one queue names that queue, whatever job another queue has under the id."""
        await broker.enqueue([self.job("a", queue=P, payload=b"1"), self.job("a", queue=Q, payload=b"2")])
        with pytest.raises(JobConflict, match="job id a is taken in queue q"):
            await broker.enqueue([self.job("a", queue=Q, payload=b"1")])

    async def test_settle_ends_job_of_its_queue_only(self, broker: Broker) -> None:
        """A settlement ends the job of its own queue; the other one is still leased."""
        of_p, of_q = await self.twins(broker)
        assert await broker.settle([Completed(lease=of_q)]) == [Settled.DONE]
        assert await broker.extend([of_p, of_q], seconds=60) == [of_q]
        assert await broker.enqueue([self.job("a", queue=Q, payload=b"new")]) == [True]
        assert await broker.settle([Completed(lease=of_p)]) == [Settled.DONE]
        assert [lease.payload for lease in await self.claim(broker, queues=(P, Q))] == [b"new"]

    async def test_extend_lengthens_lease_of_its_queue_only(self, broker: Broker) -> None:
        """If the lease in one queue is extended, that in another queue runs out all the same, and is reaped."""
        of_p, of_q = await self.twins(broker, lease=self.tick)
        await broker.reap([P, Q], lease=600)  # a worker is there: the time that passes is no outage
        assert await broker.extend([of_p], seconds=600) == []
        await self.pass_time(self.tick * 1.5)
        assert [(reaped.queue, reaped.job_id) for reaped in await broker.reap([P, Q], lease=600)] == [(Q, "a")]
        assert await broker.extend([of_p, of_q], seconds=600) == [of_q]

    async def test_claim_repeated_returns_jobs_of_both_queues(self, broker: Broker) -> None:
        """A repeated request returns both leases, or the one that is left."""
        await broker.enqueue([self.job("a", queue=P), self.job("a", queue=Q)])
        request = self.request(queues=(P, Q))
        of_p, of_q = (await broker.claim(request)).leases
        assert (await broker.claim(request)).leases == [of_p, of_q]
        await broker.settle([Completed(lease=of_p)])
        assert (await broker.claim(request)).leases == [of_q]


class StoredIdentityContract(BrokerSuite):
    """Calls of `JobStore` keep jobs of two queues apart that have the same id."""

    async def states(self, store: JobStore) -> list[JobState | None]:
        """Return the states of the jobs a of the queues p and q."""
        records = [await store.get_job("a", queue=queue) for queue in (P, Q)]
        return [record.state if record else None for record in records]

    async def test_get_job_returns_job_of_its_queue(self, broker: Broker, store: JobStore) -> None:
        """Each queue has its own record, with its own result, and forgets it at its own time."""
        await broker.enqueue([self.job("a", queue=P, payload=b"of p"), self.job("a", queue=Q, payload=b"of q")])
        records = [await store.get_job("a", queue=queue) for queue in (P, Q)]
        assert [record and (record.queue, record.payload) for record in records] == [(P, b"of p"), (Q, b"of q")]
        of_p, of_q = await self.claim(broker, queues=(P, Q))
        await broker.settle(
            [
                Completed(lease=of_p, result=b"1", retain_for=60),
                Completed(lease=of_q, result=b"2", retain_for=self.tick),
            ]
        )
        records = [await store.get_job("a", queue=queue) for queue in (P, Q)]
        assert [record and record.result for record in records] == [b"1", b"2"]
        await self.pass_time(self.tick * 1.5)
        assert await self.states(store) == [JobState.COMPLETED, None]

    async def test_cancel_job_leaves_job_of_other_queue(self, broker: Broker, store: JobStore) -> None:
        """A cancellation ends the job of one queue: the lease of the other one stays."""
        await broker.enqueue([self.job("a", queue=P), self.job("a", queue=Q)])
        of_p, of_q = await self.claim(broker, queues=(P, Q))
        assert await store.cancel_job("a", queue=Q) is True
        assert await self.states(store) == [JobState.RUNNING, JobState.CANCELLED]
        assert await broker.extend([of_p, of_q], seconds=60) == [of_q]

    async def test_retry_job_leaves_job_of_other_queue(self, broker: Broker, store: JobStore) -> None:
        """A replay puts the job of one queue back."""
        await broker.enqueue([self.job("a", queue=P), self.job("a", queue=Q)])
        for queue in (P, Q):
            await store.cancel_job("a", queue=queue)
        assert await store.retry_job("a", queue=P) is True
        assert await self.states(store) == [JobState.PENDING, JobState.CANCELLED]
        assert [(lease.queue, lease.job_id) for lease in await self.claim(broker, queues=(P, Q))] == [(P, "a")]
