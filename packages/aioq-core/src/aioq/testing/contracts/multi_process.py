"""Tests that several processes can use one store."""

from __future__ import annotations

import anyio

from aioq.model.job import Completed, Settled
from aioq.protocols import Broker
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["MultiProcessContract"]


class MultiProcessContract(BrokerSuite):
    """Each process sees the changes of the other. `broker` and `peer` stand for two processes."""

    async def test_peer_claims_and_settles_job(self, broker: Broker, peer: Broker) -> None:
        """A job that one process enqueued is run by another, and its id is known to both."""
        await broker.enqueue([self.job("a"), self.job("b", delay=600)])
        assert await peer.enqueue([self.job("a"), self.job("b")]) == [False, False]
        lease = await self.claim_one(peer)
        assert await self.claim(broker, worker="w2") == []
        assert await broker.extend([lease], seconds=60) == []
        assert await peer.settle([Completed(lease=lease, result=b"1", retain_for=60)]) == [Settled.DONE]
        assert await broker.settle([Completed(lease=lease, retain_for=60)]) == [Settled.ALREADY]

    async def test_peers_claim_different_jobs(self, broker: Broker, peer: Broker) -> None:
        """Workers of two processes that claim at the same time get different jobs."""
        await broker.enqueue([self.job(str(n)) for n in range(40)])
        taken: list[str] = []

        async def work(process: Broker, worker: str) -> None:
            for _ in range(20):
                taken.extend(lease.job_id for lease in await self.claim(process, 2, worker=worker))

        async with anyio.create_task_group() as tg:
            for n in range(4):
                tg.start_soon(work, (broker, peer)[n % 2], f"w{n}")
        assert sorted(taken, key=int) == [str(n) for n in range(40)]

    async def test_peers_enqueue_same_id_stores_one_job(self, broker: Broker, peer: Broker) -> None:
        """If two processes enqueue one id at the same time, one of them gets the answer that it is new."""
        news: list[bool] = []

        async def enqueue(process: Broker, id: str) -> None:
            news.extend(await process.enqueue([self.job(id)]))

        async with anyio.create_task_group() as tg:
            # Several ids, so that each of the processes may come first.
            for id in "abcde":
                tg.start_soon(enqueue, broker, id)
                tg.start_soon(enqueue, peer, id)
        assert sorted(news) == [False] * 5 + [True] * 5
        assert len(await self.claim(broker)) == 5

    async def test_peer_reaps_and_takes_over(self, broker: Broker, peer: Broker) -> None:
        """After a take-over the first process has lost its lease, and its settlement is stale."""
        late = await self.expire(broker)
        assert [reaped.job_id for reaped in await peer.reap(["q"])] == ["a"]
        holder = await self.claim_one(peer, worker="w2")
        assert await broker.extend([late, holder], seconds=60) == [late]
        assert await broker.settle([Completed(lease=late)]) == [Settled.STALE]
        assert await peer.settle([Completed(lease=holder)]) == [Settled.DONE]
