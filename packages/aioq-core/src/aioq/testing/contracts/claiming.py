"""Tests `Broker.claim`."""

from __future__ import annotations

import anyio
import pytest
from msgspec import structs

from aioq.model.job import ClaimRequest, Completed, Released, Retried, Settled
from aioq.protocols import Broker
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["ClaimContract"]


class ClaimContract(BrokerSuite):
    """Due jobs are leased by priority, each to one worker."""

    async def test_claim_empty_queue_returns_no_lease(self, broker: Broker) -> None:
        """The claim of an empty queue has no lease and no next due time."""
        request = ClaimRequest(worker_id="w", queues=("q",), limit=5, lease=10, request_id="r")
        claim = await broker.claim(request)
        assert (claim.leases, claim.next_due) == ([], None)

    async def test_claim_first_lease_has_fields_of_job(self, broker: Broker) -> None:
        """The first lease has epoch 1, attempt 1, no crash, and the fields of the job."""
        before = await broker.time()
        await broker.enqueue([self.job("a", task="t.x", payload=b"[1]", priority=7, max_crashes=4)])
        lease = await self.claim_one(broker)
        assert (lease.job_id, lease.queue, lease.task, lease.payload) == ("a", "q", "t.x", b"[1]")
        assert (lease.epoch, lease.attempt, lease.crashes, lease.priority) == (1, 1, 0, 7)
        assert lease.max_crashes == 4
        assert before - 0.01 <= lease.enqueued_at <= await broker.time()

    async def test_claim_first_lease_has_wait_since_enqueue(self, broker: Broker) -> None:
        """The wait of a new job counts from the enqueue, and a repeated request names the same wait."""
        await broker.enqueue([self.job("a")])
        await self.pass_time(self.tick)
        request = self.request()
        (lease,) = (await broker.claim(request)).leases
        assert lease.wait == pytest.approx(await broker.time() - lease.enqueued_at, abs=self.tick / 2)
        await self.pass_time(self.tick)
        assert (await broker.claim(request)).leases == [lease]

    async def test_claim_wait_counts_from_due_time(self, broker: Broker) -> None:
        """The wait of a delayed job counts from the end of its delay, or from its moment."""
        run_at = await broker.time() + 2 * self.tick
        await broker.enqueue([self.job("a", delay=2 * self.tick), self.job("b", run_at=run_at), self.job("c")])
        past = self.job("d", run_at=run_at - 3600)
        await broker.enqueue([past])
        await self.pass_time(self.tick * 3)
        waits = {lease.job_id: lease.wait for lease in await self.claim(broker)}
        assert waits["a"] == pytest.approx(waits["b"], abs=self.tick / 2)
        assert waits["c"] - waits["a"] == pytest.approx(2 * self.tick, abs=self.tick / 2)
        assert waits["d"] == pytest.approx(waits["c"], abs=self.tick / 2)

    async def test_claim_wait_of_job_put_back_counts_from_its_new_due_time(self, broker: Broker) -> None:
        """The wait after a retry counts from the end of its delay, and after a release from the release."""
        await broker.enqueue([self.job("a"), self.job("b")])
        await self.pass_time(self.tick)
        a, b = await self.claim(broker)
        await self.pass_time(self.tick)
        await broker.settle([Retried(lease=a, delay=self.tick), Released(lease=b)])
        await self.pass_time(self.tick * 2)
        waits = {lease.job_id: lease.wait for lease in await self.claim(broker)}
        assert waits["b"] - waits["a"] == pytest.approx(self.tick, abs=self.tick / 2)
        assert self.tick / 2 < waits["a"] < waits["b"]

    async def test_claim_wait_of_reaped_job_counts_from_reap(self, broker: Broker) -> None:
        """The wait of a job whose lease ran out counts from the moment at which it was taken back."""
        await broker.enqueue([self.job("a")])
        await self.claim(broker, lease=self.tick)
        await self.pass_time(self.tick * 2)
        reaped = await broker.time()
        assert [job.task for job in await broker.reap(["q"], lease=self.tick)] == ["tasks.work"]
        await self.pass_time(self.tick)
        (lease,) = await self.claim(broker)
        assert lease.wait == pytest.approx(await broker.time() - reaped, abs=self.tick / 2)

    async def test_claim_respects_limit(self, broker: Broker) -> None:
        """A claim takes at most `limit` jobs; the others stay pending."""
        await broker.enqueue([self.job(id) for id in "abc"])
        assert [lease.job_id for lease in await self.claim(broker, 2)] == ["a", "b"]
        assert [lease.job_id for lease in await self.claim(broker, 2, worker="w2")] == ["c"]

    async def test_claim_higher_priority_first(self, broker: Broker) -> None:
        """Priority 9 comes before 0; equal priorities keep their order."""
        await broker.enqueue([self.job(f"{p}{n}", priority=p) for n in "ab" for p in (0, 9, 5)])
        assert [lease.job_id for lease in await self.claim(broker)] == ["9a", "9b", "5a", "5b", "0a", "0b"]

    async def test_claim_serves_named_queues_in_order(self, broker: Broker) -> None:
        """A claim serves the named queues in the given order, and no others."""
        await broker.enqueue([self.job("a", queue="one"), self.job("b", queue="two"), self.job("c", queue="three")])
        assert [lease.job_id for lease in await self.claim(broker, queues=("three", "one"))] == ["c", "a"]

    async def test_claim_serves_queues_in_order_of_each_request(self, broker: Broker) -> None:
        """A worker may name its queues in another order in each request; a repeated one gets its leases again."""
        await broker.enqueue([self.job(f"{queue}{n}", queue=queue) for queue in ("one", "two") for n in "123"])
        requests = [self.request(2, queues=queues) for queues in (("one", "two"), ("two", "one"), ("one", "two"))]
        claims = [await broker.claim(request) for request in requests]
        assert [[lease.job_id for lease in claim.leases] for claim in claims] == [
            ["one1", "one2"],
            ["two1", "two2"],
            ["one3", "two3"],
        ]
        assert (await broker.claim(requests[-1])).leases == claims[-1].leases

    async def test_claim_limit_counts_all_queues(self, broker: Broker) -> None:
        """A claim of several queues takes at most `limit` jobs together."""
        await broker.enqueue([self.job(f"{queue}{n}", queue=queue) for queue in ("one", "two") for n in "12"])
        assert [lease.job_id for lease in await self.claim(broker, 3, queues=("one", "two"))] == [
            "one1",
            "one2",
            "two1",
        ]

    async def test_claim_repeated_returns_same_leases(self, broker: Broker) -> None:
        """A repeated request returns its leases and takes no further jobs."""
        await broker.enqueue([self.job(id) for id in "abcd"])
        request = ClaimRequest(worker_id="w1", queues=("q",), limit=2, lease=60, request_id="lost")
        first = await broker.claim(request)
        assert (await broker.claim(request)).leases == first.leases
        await broker.settle([Completed(lease=first.leases[0])])
        assert [lease.job_id for lease in (await broker.claim(request)).leases] == ["b"]
        assert [lease.job_id for lease in await self.claim(broker)] == ["c", "d"]

    async def test_claim_repeated_omits_lost_leases(self, broker: Broker) -> None:
        """A repeated request omits jobs that have ended or were reaped, even if they were claimed again."""
        await broker.enqueue([self.job(id) for id in "abc"])
        request = self.request(3, lease=self.tick)
        a, b, _ = (await broker.claim(request)).leases
        await broker.settle([Completed(lease=a, retain_for=60)])
        # So that of the two leases that are left only one runs out.
        await broker.extend([b], seconds=60)
        await self.pass_time(self.tick * 1.5)
        await broker.reap(["q"])
        assert (await broker.claim(request)).leases == [b]
        await self.claim_one(broker, worker="w2")
        assert (await broker.claim(request)).leases == [b]

    async def test_claim_request_id_is_per_worker(self, broker: Broker) -> None:
        """The request id of one worker means nothing for another worker."""
        await broker.enqueue([self.job(id) for id in "ab"])
        mine = self.request(1, worker="w1")
        await broker.claim(mine)
        theirs = await broker.claim(structs.replace(mine, worker_id="w2"))
        assert [lease.job_id for lease in theirs.leases] == ["b"]

    async def test_claim_repeated_with_limit_zero_ends_request(self, broker: Broker) -> None:
        """A limit of 0 returns what the request took; if the request itself arrives later, it takes nothing."""
        await broker.enqueue([self.job("a")])
        request = self.request(5)
        assert (await broker.claim(structs.replace(request, limit=0))).leases == []
        # This is the lost request, which arrives after the inquiry.
        assert (await broker.claim(request)).leases == []
        taken = self.request(1)
        leases = (await broker.claim(taken)).leases
        assert [lease.job_id for lease in leases] == ["a"]
        assert (await broker.claim(structs.replace(taken, limit=0))).leases == leases

    async def test_claim_next_due_covers_requested_queues(self, broker: Broker) -> None:
        """`next_due` covers all requested queues and no others, and counts retries like delayed jobs."""
        await broker.enqueue([self.job("a"), self.job("b", queue="two", delay=900), self.job("c", queue="r", delay=60)])
        await broker.enqueue([self.job("d", delay=1800)])
        claim = await broker.claim(self.request(queues=("q", "two")))
        assert claim.next_due == pytest.approx(900, abs=30)
        await broker.settle([Retried(lease=claim.leases[0], delay=300)])
        assert (await broker.claim(self.request(queues=("two", "q")))).next_due == pytest.approx(300, abs=30)
        assert (await broker.claim(self.request(queues=("two",)))).next_due == pytest.approx(900, abs=30)

    async def test_claim_next_due_omits_jobs_that_are_due(self, broker: Broker) -> None:
        """A job that came due in a queue that the claim did not reach is due, and no later job."""
        await broker.enqueue([self.job("a"), self.job("b", queue="r", delay=self.tick)])
        await self.pass_time(self.tick * 1.5)
        claim = await broker.claim(self.request(1, queues=("q", "r")))
        assert ([lease.job_id for lease in claim.leases], claim.next_due) == (["a"], None)

    async def test_claim_concurrent_workers_get_different_jobs(self, broker: Broker) -> None:
        """Workers that claim at the same time never get the same job."""
        await broker.enqueue([self.job(str(n)) for n in range(40)])
        taken: list[str] = []

        async def work(worker: str) -> None:
            # Four workers ask for more than there is, so that all of them also meet an empty queue.
            for _ in range(14):
                taken.extend(lease.job_id for lease in await self.claim(broker, 3, worker=worker))

        async with anyio.create_task_group() as tg:
            for n in range(4):
                tg.start_soon(work, f"w{n}")
        assert sorted(taken, key=int) == [str(n) for n in range(40)]

    async def test_claim_reused_id_has_own_epochs(self, broker: Broker) -> None:
        """A lease of an earlier job with the same id is lost and stale, although the epochs are equal."""
        await broker.enqueue([self.job("a")])
        former = await self.claim_one(broker)
        await broker.settle([Completed(lease=former)])
        # The moment of its enqueue is all that distinguishes the second job from the first.
        await self.pass_time(self.tick / 10)
        await broker.enqueue([self.job("a", payload=b"new")])
        assert await broker.settle([Completed(lease=former)]) == [Settled.STALE]
        # By the same worker: another one is told apart by its id.
        latter = await self.claim_one(broker)
        assert await broker.extend([former, latter], seconds=60) == [former]
        assert await broker.settle([Completed(lease=former)]) == [Settled.STALE]
        assert await broker.settle([Completed(lease=latter)]) == [Settled.DONE]
