"""What every broker must do with leases that are extended, and with those that are not."""

from __future__ import annotations

from aioq.model.job import Completed, Settled
from aioq.model.states import JobState
from aioq.protocols import Broker
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["LeaseContract"]


class LeaseContract(BrokerSuite):
    """A lease lasts for as long as it is extended, and no job stays with a worker that is gone."""

    async def test_an_extended_lease_is_not_reaped(self, broker: Broker) -> None:
        """Extending counts from now, and keeps the job with its worker."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker, lease=self.tick)
        assert await broker.extend([lease], seconds=600) == []
        await self.pass_time(self.tick * 1.5)
        assert await broker.reap(["q"]) == []
        assert await broker.settle([Completed(lease=lease)]) == [Settled.DONE]

    async def test_a_lease_that_ran_out_unreaped_can_be_extended(self, broker: Broker) -> None:
        """A worker that was slow keeps the job when nobody took it."""
        lease = await self.expire(broker)
        assert await broker.extend([lease], seconds=60) == []
        assert await broker.reap(["q"]) == []

    async def test_extend_names_the_lost_leases(self, broker: Broker) -> None:
        """Reaped, re-claimed and settled jobs are lost to the older epoch; others are not."""
        lost = await self.expire(broker, "a")
        await broker.reap(["q"])
        assert await broker.extend([lost], seconds=60) == [lost]
        held = await self.claim_one(broker, worker="w2")
        assert await broker.extend([lost, held], seconds=60) == [lost]
        await broker.settle([Completed(lease=held)])
        assert await broker.extend([held], seconds=60) == [held]

    async def test_live_leases_are_not_reaped(self, broker: Broker) -> None:
        """Reaping takes only what has run out."""
        await broker.enqueue([self.job("a")])
        await self.claim(broker)
        assert await broker.reap(["q"]) == []

    async def test_a_lease_can_be_made_shorter(self, broker: Broker) -> None:
        """The seconds count from now, whatever was left of the lease."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker, lease=600)
        assert await broker.extend([lease], seconds=self.tick) == []
        await self.pass_time(self.tick * 1.5)
        assert [reaped.job_id for reaped in await broker.reap(["q"])] == ["a"]

    async def test_a_reaped_job_goes_before_those_of_its_priority(self, broker: Broker) -> None:
        """But behind those of a higher one."""
        await self.expire(broker, "a")
        await broker.enqueue([self.job("low", priority=4), self.job("high", priority=6), self.job("b")])
        await broker.reap(["q"])
        assert [lease.job_id for lease in await self.claim(broker)] == ["high", "a", "b", "low"]

    async def test_an_expired_lease_returns_the_job_to_the_front(self, broker: Broker) -> None:
        """The job of a worker that vanished is the next to run, once."""
        await self.expire(broker, "a")
        await broker.enqueue([self.job("b")])
        (reaped,) = await broker.reap(["q"])
        assert (reaped.job_id, reaped.queue, reaped.crashes, reaped.state) == ("a", "q", 1, JobState.PENDING)
        assert await broker.reap(["q"]) == []
        assert [lease.job_id for lease in await self.claim(broker)] == ["a", "b"]

    async def test_a_job_that_crashes_too_often_is_dead(self, broker: Broker) -> None:
        """At `max_crashes` the job is not run again."""
        await broker.enqueue([self.job("a", max_crashes=2)])
        states: list[JobState] = []
        for _ in range(2):
            await self.claim_one(broker, lease=self.tick)
            await self.pass_time(self.tick * 1.5)
            states += [reaped.state for reaped in await broker.reap(["q"])]
        assert states == [JobState.PENDING, JobState.DEAD]
        assert await self.claim(broker) == []

    async def test_reaping_is_bounded_and_by_queue(self, broker: Broker) -> None:
        """No more than `limit` jobs are reaped, and only of the queues named."""
        await broker.enqueue([self.job(id) for id in "abc"])
        await self.claim(broker, lease=self.tick)
        await self.pass_time(self.tick * 1.5)
        assert await broker.reap(["other"]) == []
        assert [len(await broker.reap(["q"], limit=2)) for _ in range(3)] == [2, 1, 0]

    async def test_a_bound_on_reaping_spans_queues(self, broker: Broker) -> None:
        """Over several queues together no more than the limit is reaped, and none of them is forgotten."""
        queues = ("one", "two")
        await broker.enqueue([self.job(f"{queue}{n}", queue=queue) for queue in queues for n in "12"])
        await self.claim(broker, queues=queues, lease=self.tick)
        await self.pass_time(self.tick * 1.5)
        reaped = [await broker.reap(queues, limit=3) for _ in range(3)]
        assert [len(part) for part in reaped] == [3, 1, 0]
        assert sorted((job.job_id, job.queue) for part in reaped for job in part) == [
            (f"{queue}{n}", queue) for queue in queues for n in "12"
        ]
