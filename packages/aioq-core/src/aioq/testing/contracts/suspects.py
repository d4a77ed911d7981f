"""Tests how suspects are claimed: jobs that have crashed their workers."""

from __future__ import annotations

from aioq.model.job import Released, Retried
from aioq.protocols import Broker
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["SuspectContract"]


class SuspectContract(BrokerSuite):
    """A job that may have crashed its workers runs alone."""

    async def test_claim_job_with_one_crash_is_not_suspect(self, broker: Broker) -> None:
        """A job that crashed once is claimed together with others."""
        await self.crash(broker, "a", 1)
        await broker.enqueue([self.job("b")])
        claim = await broker.claim(self.request())
        assert ([lease.job_id for lease in claim.leases], claim.alone) == (["a", "b"], False)

    async def test_claim_suspect_alone(self, broker: Broker) -> None:
        """An idle worker gets a job with two crashes first, and nothing with it."""
        await self.crash(broker, "a", 2)
        await broker.enqueue([self.job("b", priority=9), self.job("c")])
        request = self.request()
        claim = await broker.claim(request)
        assert ([(lease.job_id, lease.crashes) for lease in claim.leases], claim.alone) == ([("a", 2)], True)
        repeated = await broker.claim(request)
        assert (repeated.leases, repeated.alone) == (claim.leases, True)
        others = await broker.claim(self.request(worker="w2"))
        assert ([lease.job_id for lease in others.leases], others.alone) == (["b", "c"], False)

    async def test_claim_busy_worker_skips_suspect(self, broker: Broker) -> None:
        """Busy workers do not get a suspect; one gets `alone`, and the suspect once it is idle."""
        await self.crash(broker, "a", 2)
        await broker.enqueue([self.job(id) for id in "bc"])
        alone: list[str] = []
        for worker in ("w1", "w2"):
            claim = await broker.claim(self.request(worker=worker, running=1))
            assert "a" not in [lease.job_id for lease in claim.leases]
            alone += [worker] if claim.alone else []
        assert alone
        claim = await broker.claim(self.request(worker=alone[0]))
        assert ([lease.job_id for lease in claim.leases], claim.alone) == (["a"], True)

    async def test_claim_suspects_one_by_one(self, broker: Broker) -> None:
        """Several suspects run one after the other, each alone."""
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

    async def test_claim_several_queues_takes_no_suspect_beside_job(self, broker: Broker) -> None:
        """A claim of several queues takes no suspect beside another job."""
        await self.crash(broker, "a", 2)
        await broker.enqueue([self.job("b", queue="first")])
        claim = await broker.claim(self.request(queues=("first", "q")))
        assert [lease.job_id for lease in claim.leases] == ["b"]

    async def test_claim_released_or_retried_suspect_stays_suspect(self, broker: Broker) -> None:
        """A suspect that was released or retried runs alone again."""
        await self.crash(broker, "a", 2)
        for end in (Released, Retried):
            (lease,) = await self.claim(broker)
            await broker.settle([end(lease=lease, delay=0)])
            await broker.enqueue([self.job(f"beside-{end.__name__}", priority=0)])
            busy = await broker.claim(self.request(limit=1, worker="w2", running=1))
            assert "a" not in [lease.job_id for lease in busy.leases]
        claim = await broker.claim(self.request(worker="w2"))
        assert ([lease.job_id for lease in claim.leases], claim.alone) == (["a"], True)

    async def test_claim_suspects_in_order_of_reaping(self, broker: Broker) -> None:
        """Suspects go in the order of their reaping, whatever their priority or enqueue order."""
        await broker.enqueue([self.job(id, max_crashes=9, priority=n) for n, id in enumerate("abc")])
        await self.claim(broker, lease=self.tick)
        await self.pass_time(self.tick * 1.5)
        await broker.reap(["q"])
        leases = {lease.job_id: lease for lease in await self.claim(broker)}
        # Neither the order of the priorities nor that of the enqueue.
        for id in "bca":
            await broker.extend([leases[id]], seconds=self.tick)
            await self.pass_time(self.tick * 1.5)
            assert [reaped.job_id for reaped in await broker.reap(["q"])] == [id]
        claims = [await broker.claim(self.request(worker=worker)) for worker in ("w1", "w2", "w3")]
        assert [[lease.job_id for lease in claim.leases] for claim in claims] == [["b"], ["c"], ["a"]]
