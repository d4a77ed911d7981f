"""Tests `Broker.extend` and `Broker.reap`."""

from __future__ import annotations

from aioq.model.job import Completed, Settled
from aioq.model.states import JobState
from aioq.protocols import Broker
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["LeaseContract"]


class LeaseContract(BrokerSuite):
    """A lease lasts as long as it is extended; the job of a vanished worker is reaped."""

    async def test_extend_lease_prevents_reaping(self, broker: Broker) -> None:
        """An extension counts from now, and the worker keeps the job."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker, lease=self.tick)
        assert await broker.extend([lease], seconds=600) == []
        await self.pass_time(self.tick * 1.5)
        assert await broker.reap(["q"]) == []
        assert await broker.settle([Completed(lease=lease)]) == [Settled.DONE]

    async def test_extend_overdue_lease_before_reaping(self, broker: Broker) -> None:
        """A lease that ran out but was not reaped can be extended."""
        lease = await self.expire(broker)
        assert await broker.extend([lease], seconds=60) == []
        assert await broker.reap(["q"]) == []

    async def test_extend_returns_lost_leases(self, broker: Broker) -> None:
        """Leases of reaped, re-claimed and settled jobs are returned; others are not."""
        lost = await self.expire(broker, "a")
        await broker.reap(["q"])
        assert await broker.extend([lost], seconds=60) == [lost]
        held = await self.claim_one(broker, worker="w2")
        assert await broker.extend([lost, held], seconds=60) == [lost]
        await broker.settle([Completed(lease=held)])
        assert await broker.extend([held], seconds=60) == [held]

    async def test_extend_lease_named_twice_is_held(self, broker: Broker) -> None:
        """A lease that is named twice in one call is extended, and a lost one is returned."""
        await broker.enqueue([self.job("a")])
        held = await self.claim_one(broker)
        assert await broker.extend([held, held], seconds=60) == []
        await broker.settle([Completed(lease=held)])
        lost = await broker.extend([held, held], seconds=60)
        assert lost
        assert all(lease == held for lease in lost)

    async def test_reap_ignores_live_leases(self, broker: Broker) -> None:
        """Only leases that ran out are reaped."""
        await broker.enqueue([self.job("a")])
        await self.claim(broker)
        assert await broker.reap(["q"]) == []

    async def test_extend_can_shorten_lease(self, broker: Broker) -> None:
        """The seconds count from now, whatever was left of the lease."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker, lease=600)
        await broker.reap(["q"])  # another worker is there
        assert await broker.extend([lease], seconds=self.tick) == []
        await self.pass_time(self.tick * 1.5)
        assert [reaped.job_id for reaped in await broker.reap(["q"])] == ["a"]

    async def test_reap_puts_job_first_in_its_priority(self, broker: Broker) -> None:
        """A reaped job goes before jobs of its priority and of lower ones."""
        await self.expire(broker, "a")
        await broker.enqueue([self.job("low", priority=4), self.job("b")])
        await broker.reap(["q"])
        assert [lease.job_id for lease in await self.claim(broker)] == ["a", "b", "low"]

    async def test_reap_returns_job_once(self, broker: Broker) -> None:
        """The job of a vanished worker runs next, and once."""
        await self.expire(broker, "a")
        await broker.enqueue([self.job("b")])
        (reaped,) = await broker.reap(["q"])
        assert (reaped.job_id, reaped.queue, reaped.worker_id) == ("a", "q", "w1")
        assert (reaped.crashed, reaped.crashes, reaped.state) == (True, 1, JobState.PENDING)
        assert await broker.reap(["q"]) == []
        assert [lease.job_id for lease in await self.claim(broker)] == ["a", "b"]

    async def test_reap_max_crashes_marks_job_dead(self, broker: Broker) -> None:
        """A job with `max_crashes` crashes is dead and not run again."""
        await broker.enqueue([self.job("a", max_crashes=2)])
        states: list[JobState] = []
        for _ in range(2):
            await self.claim_one(broker, lease=self.tick)
            await self.pass_time(self.tick * 1.5)
            states += [reaped.state for reaped in await broker.reap(["q"])]
        assert states == [JobState.PENDING, JobState.DEAD]
        assert await self.claim(broker) == []

    async def test_reap_respects_limit_and_queues(self, broker: Broker) -> None:
        """At most `limit` jobs of a queue are reaped, only of the named queues."""
        await broker.enqueue([self.job(id) for id in "abc"])
        await self.claim(broker, lease=self.tick)
        await self.pass_time(self.tick * 1.5)
        assert await broker.reap(["other"]) == []
        assert [len(await broker.reap(["q"], limit=2)) for _ in range(3)] == [2, 1, 0]

    async def test_reap_limit_holds_for_each_queue(self, broker: Broker) -> None:
        """`limit` holds for each queue, and repeated calls reap all of them."""
        queues = ("one", "two")
        await broker.enqueue([self.job(f"{queue}{n}", queue=queue) for queue in queues for n in "12"])
        await self.claim(broker, queues=queues, lease=self.tick)
        await self.pass_time(self.tick * 1.5)
        reaped = [await broker.reap(queues, limit=1) for _ in range(3)]
        assert [len(part) for part in reaped] == [2, 2, 0]
        assert sorted((job.job_id, job.queue) for part in reaped for job in part) == [
            (f"{queue}{n}", queue) for queue in queues for n in "12"
        ]
