"""Tests what `Broker.extend` and `Broker.reap` do after all workers of a queue were cut off from the broker."""

from __future__ import annotations

from aioq.model.job import Completed, Lease, Reaped, Settled
from aioq.model.states import JobState
from aioq.protocols import Broker
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["OutageContract"]

LONG = 600.0
"""The lease in seconds of a worker whose next sign of life is not due within a test."""


class OutageContract(BrokerSuite):
    """An outage is no crash: living workers extend first, and what ran out meanwhile counts no crash."""

    @property
    def lease(self) -> float:
        """The length of the leases of all workers, in seconds."""
        return self.tick * 6

    async def test_reap_after_outage_waits_one_lease(self, broker: Broker) -> None:
        """Leases that ran out in an outage are not reaped for a lease, and can be extended until then."""
        leases = await self._cut_off(broker, "ab")
        assert await self._reap(broker) == []
        assert await broker.extend(leases, seconds=LONG) == []
        await self.pass_time(self.lease * 1.25)
        assert await self._reap(broker) == []
        assert await broker.settle([Completed(lease=lease) for lease in leases]) == [Settled.DONE] * 2

    async def test_extend_after_outage_starts_the_wait(self, broker: Broker) -> None:
        """The wait begins with the first sign of life, if that is an extension."""
        held, lost = await self._cut_off(broker, "ab")
        assert await broker.extend([held], seconds=self.lease) == []
        assert await broker.extend([held], seconds=LONG) == []
        assert await self._reap(broker) == []
        await self.pass_time(self.lease * 1.25)
        assert [(job.job_id, job.crashed) for job in await self._reap(broker)] == [(lost.job_id, False)]

    async def test_reap_after_outage_with_survivor_counts_no_crash(self, broker: Broker) -> None:
        """A worker came back, so what no worker extended counts no crash and no attempt, and goes before other jobs."""
        held, _ = await self._cut_off(broker, "ab")
        assert await self._reap(broker) == []
        assert await broker.extend([held], seconds=LONG) == []
        await broker.enqueue([self.job("c")])
        await self.pass_time(self.lease * 1.25)
        (reaped,) = await self._reap(broker)
        assert (reaped.job_id, reaped.worker_id, reaped.crashed) == ("b", "w-b", False)
        assert (reaped.crashes, reaped.state) == (0, JobState.PENDING)
        again = await self.claim_one(broker)
        assert (again.job_id, again.epoch, again.attempt, again.crashes) == ("b", 2, 1, 0)

    async def test_reap_after_outage_without_survivor_counts_crash(self, broker: Broker) -> None:
        """No worker came back, so the outage may have been the crash of the only one: each lease counts a crash."""
        await self._cut_off(broker, "ab")
        assert await self._reap(broker) == []
        await broker.enqueue([self.job("new")])
        fresh = await self.claim_one(broker, worker="new", lease=self.lease)
        assert await broker.extend([fresh], seconds=LONG) == []
        await self.pass_time(self.lease * 1.25)
        reaped = await self._reap(broker)
        assert sorted((job.job_id, job.crashed, job.crashes) for job in reaped) == [("a", True, 1), ("b", True, 1)]

    async def test_reap_lone_cut_off_worker_counts_crash(self, broker: Broker) -> None:
        """One worker is cut off while another gives signs of life: its leases are reaped at once, with a crash."""
        assert await broker.reap(["q"], lease=LONG) == []
        await self._cut_off(broker, "a")
        assert [(job.job_id, job.crashed) for job in await self._reap(broker)] == [("a", True)]

    async def test_reap_lease_after_the_wait_counts_crash(self, broker: Broker) -> None:
        """A worker that extended after the outage and crashed then is reaped with a crash."""
        held, crashed = await self._cut_off(broker, "ab")
        assert await self._reap(broker) == []
        await self.pass_time(self.lease / 12)
        assert await broker.extend([crashed], seconds=self.lease) == []
        assert await broker.extend([held], seconds=LONG) == []
        await self.pass_time(self.lease * 1.25)
        assert [(job.job_id, job.crashed) for job in await self._reap(broker)] == [("b", True)]

    async def test_reap_second_outage_waits_again(self, broker: Broker) -> None:
        """An outage in the wait after another one starts the wait again."""
        leases = await self._cut_off(broker, "ab")
        assert await self._reap(broker) == []
        await self.pass_time(self.lease * 1.25)
        assert await self._reap(broker) == []
        assert await broker.extend(leases, seconds=self.lease) == []

    async def test_reap_outage_of_one_queue_leaves_others(self, broker: Broker) -> None:
        """Each queue has signs of life of its own."""
        await broker.reap(["other"], lease=LONG)
        await broker.enqueue([self.job("c", queue="other")])
        await self.claim(broker, queues=("other",), lease=self.tick)
        await self._cut_off(broker, "a")
        assert [job.job_id for job in await broker.reap(["q", "other"], lease=self.lease)] == ["c"]

    async def _reap(self, broker: Broker) -> list[Reaped]:
        return await broker.reap(["q"], lease=self.lease)

    async def _cut_off(self, broker: Broker, ids: str) -> list[Lease]:
        """Lease jobs to one worker each, and let the leases run out without a sign of life."""
        await broker.enqueue([self.job(id) for id in ids])
        leases = [await self.claim_one(broker, worker=f"w-{id}", lease=self.lease) for id in ids]
        await broker.extend(leases, seconds=self.lease)
        await self.pass_time(self.lease * 1.25)
        return leases
