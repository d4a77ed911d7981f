"""What every broker must do with jobs that have crashed before."""

from __future__ import annotations

from aioq.model.job import Released, Retried
from aioq.protocols import Broker
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["SuspectContract"]


class SuspectContract(BrokerSuite):
    """A job that may have killed its workers runs alone."""

    async def test_one_crash_makes_no_suspect(self, broker: Broker) -> None:
        """A job that crashed once goes first, with others."""
        await self.crash(broker, "a", 1)
        await broker.enqueue([self.job("b")])
        claim = await broker.claim(self.request())
        assert ([lease.job_id for lease in claim.leases], claim.alone) == (["a", "b"], False)

    async def test_a_suspect_is_claimed_alone(self, broker: Broker) -> None:
        """A worker that holds nothing gets a job with two crashes, whatever else is due, and nothing with it."""
        await self.crash(broker, "a", 2)
        await broker.enqueue([self.job("b", priority=9), self.job("c")])
        request = self.request()
        claim = await broker.claim(request)
        assert ([(lease.job_id, lease.crashes) for lease in claim.leases], claim.alone) == ([("a", 2)], True)
        repeated = await broker.claim(request)
        assert (repeated.leases, repeated.alone) == (claim.leases, True)
        others = await broker.claim(self.request(worker="w2"))
        assert ([lease.job_id for lease in others.leases], others.alone) == (["b", "c"], False)

    async def test_busy_workers_pass_over_a_suspect_and_one_makes_room(self, broker: Broker) -> None:
        """No worker that holds leases gets it; one is told to become empty, and then does."""
        await self.crash(broker, "a", 2)
        await broker.enqueue([self.job(id) for id in "bc"])
        told: list[str] = []
        for worker in ("w1", "w2"):
            claim = await broker.claim(self.request(worker=worker, running=1))
            assert "a" not in [lease.job_id for lease in claim.leases]
            told += [worker] if claim.alone else []
        assert told
        claim = await broker.claim(self.request(worker=told[0]))
        assert ([lease.job_id for lease in claim.leases], claim.alone) == (["a"], True)

    async def test_suspects_are_told_apart_one_by_one(self, broker: Broker) -> None:
        """Of several each runs alone, and each has its turn."""
        for id in "ab":
            await broker.enqueue([self.job(id, max_crashes=9)])
        for _ in range(2):
            for worker in ("w1", "w2"):
                await self.claim(broker, 1, worker=worker, lease=self.tick)
            await self.pass_time(self.tick * 1.5)
            await broker.reap(["q"])
        claims = [await broker.claim(self.request(worker=worker)) for worker in ("w1", "w2")]
        assert sorted(lease.job_id for claim in claims for lease in claim.leases) == ["a", "b"]
        assert [(len(claim.leases), claim.alone) for claim in claims] == [(1, True)] * 2

    async def test_what_one_queue_gave_makes_a_worker_busy(self, broker: Broker) -> None:
        """A claim over several queues takes no suspect beside another job."""
        await self.crash(broker, "a", 2)
        await broker.enqueue([self.job("b", queue="first")])
        claim = await broker.claim(self.request(queues=("first", "q")))
        assert [lease.job_id for lease in claim.leases] == ["b"]

    async def test_a_suspect_that_ended_its_attempt_is_still_one(self, broker: Broker) -> None:
        """Released or retried, it runs alone again: its crashes are not forgotten."""
        await self.crash(broker, "a", 2)
        for end in (Released, Retried):
            (lease,) = await self.claim(broker)
            await broker.settle([end(lease=lease, delay=0)])
            await broker.enqueue([self.job(f"beside-{end.__name__}", priority=0)])
            busy = await broker.claim(self.request(limit=1, worker="w2", running=1))
            assert "a" not in [lease.job_id for lease in busy.leases]
        claim = await broker.claim(self.request(worker="w2"))
        assert ([lease.job_id for lease in claim.leases], claim.alone) == (["a"], True)

    async def test_suspects_line_up_in_the_order_in_which_they_were_reaped(self, broker: Broker) -> None:
        """Whatever their priorities, and whichever was enqueued first."""
        await broker.enqueue([self.job(id, max_crashes=9, priority=n) for n, id in enumerate("abc")])
        await self.claim(broker, lease=self.tick)
        await self.pass_time(self.tick * 1.5)
        await broker.reap(["q"])
        leases = {lease.job_id: lease for lease in await self.claim(broker)}
        for id in "bca":
            await broker.extend([leases[id]], seconds=self.tick)
            await self.pass_time(self.tick * 1.5)
            assert [reaped.job_id for reaped in await broker.reap(["q"])] == [id]
        claims = [await broker.claim(self.request(worker=worker)) for worker in ("w1", "w2", "w3")]
        assert [[lease.job_id for lease in claim.leases] for claim in claims] == [["b"], ["c"], ["a"]]
