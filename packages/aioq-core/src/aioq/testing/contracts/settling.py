"""Tests `Broker.settle`."""

from __future__ import annotations

from aioq.model.job import Completed, Dead, Expired, Failed, Released, Retried, Settled
from aioq.protocols import Broker
from aioq.testing.contracts.suite import FAILURE, BrokerSuite

__all__ = ["SettleContract"]


class SettleContract(BrokerSuite):
    """The holder of the lease settles the job, once."""

    async def test_settle_completed_job_cannot_be_claimed_again(self, broker: Broker) -> None:
        """A completed job cannot be claimed, extended or settled again."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker)
        assert await broker.settle([Completed(lease=lease)]) == [Settled.DONE]
        assert await self.claim(broker) == []
        assert await broker.settle([Completed(lease=lease)]) == [Settled.STALE]

    async def test_settle_without_record_frees_id(self, broker: Broker) -> None:
        """If no record is stored, the id can be used for a new job."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Completed(lease=await self.claim_one(broker))])
        assert await broker.enqueue([self.job("a", payload=b"other")]) == [True]

    async def test_settle_record_keeps_id_known(self, broker: Broker) -> None:
        """The id of an ended job is known as long as its record is stored."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Completed(lease=await self.claim_one(broker), result=b"1", retain_for=self.tick * 3)])
        assert await broker.enqueue([self.job("a")]) == [False]
        await self.pass_time(self.tick * 4)
        assert await broker.enqueue([self.job("a")]) == [True]

    async def test_settle_repeated_answers_already(self, broker: Broker) -> None:
        """A repeated settlement of the same epoch is answered with ALREADY."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker)
        settlement = Completed(lease=lease, result=b"1", retain_for=60)
        assert await broker.settle([settlement]) == [Settled.DONE]
        assert await broker.settle([settlement]) == [Settled.ALREADY]
        assert await broker.settle([Failed(lease=lease, failure=FAILURE, retain_for=60)]) == [Settled.ALREADY]

    async def test_settle_older_epoch_is_stale(self, broker: Broker) -> None:
        """Of two workers that ran the job, only the holder of the current epoch settles it."""
        late = await self.expire(broker)
        await broker.reap(["q"])
        holder = await self.claim_one(broker, worker="w2")
        assert (holder.epoch, holder.attempt, holder.crashes) == (2, 2, 1)
        assert await broker.settle([Completed(lease=late, result=b"late", retain_for=60)]) == [Settled.STALE]
        assert await broker.settle([Completed(lease=holder, result=b"right", retain_for=60)]) == [Settled.DONE]
        assert await broker.settle([Completed(lease=late, result=b"late", retain_for=60)]) == [Settled.STALE]

    async def test_settle_reaped_lease_is_stale(self, broker: Broker) -> None:
        """A reaped lease is stale even before the job is claimed again."""
        late = await self.expire(broker)
        await broker.reap(["q"])
        assert await broker.settle([Completed(lease=late)]) != [Settled.DONE]
        assert [lease.job_id for lease in await self.claim(broker)] == ["a"]

    async def test_settle_overdue_lease_before_reaping(self, broker: Broker) -> None:
        """A lease that ran out but was not reaped can be settled."""
        lease = await self.expire(broker)
        assert await broker.settle([Completed(lease=lease)]) == [Settled.DONE]
        assert await broker.reap(["q"]) == []

    async def test_settle_retry_is_due_after_delay(self, broker: Broker) -> None:
        """A retried job is due after the delay, with the next attempt and the next epoch."""
        await broker.enqueue([self.job("a")])
        retried = Retried(lease=await self.claim_one(broker), delay=self.tick * 2, failure=FAILURE)
        assert await broker.settle([retried]) == [Settled.DONE]
        assert await self.claim(broker) == []
        assert await broker.settle([retried]) == [Settled.ALREADY]
        await self.pass_time(self.tick * 2.5)
        again = await self.claim_one(broker)
        assert (again.attempt, again.epoch, again.crashes) == (2, 2, 0)
        assert await broker.settle([retried]) == [Settled.STALE]

    async def test_settle_retry_without_delay_is_due_at_once(self, broker: Broker) -> None:
        """A retry with a delay of 0 s can be claimed at once."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Retried(lease=await self.claim_one(broker), delay=0)])
        assert (await self.claim_one(broker)).attempt == 2

    async def test_settle_retry_goes_behind_its_priority(self, broker: Broker) -> None:
        """Jobs of the same priority that came due before the retry go first."""
        await broker.enqueue([self.job("a", priority=6), self.job("low"), self.job("b", priority=6)])
        retried = Retried(lease=await self.claim_one(broker), delay=0)
        await self.pass_time(self.tick / 10)
        await broker.settle([retried])
        assert [lease.job_id for lease in await self.claim(broker)] == ["b", "a", "low"]

    async def test_settle_release_returns_attempt(self, broker: Broker) -> None:
        """A released job is first in its queue, and its attempt is not counted."""
        await broker.enqueue([self.job("a"), self.job("b")])
        released = Released(lease=await self.claim_one(broker))
        assert await broker.settle([released]) == [Settled.DONE]
        assert await broker.settle([released]) == [Settled.ALREADY]
        again = await self.claim_one(broker)
        assert (again.job_id, again.attempt, again.epoch) == ("a", 1, 2)

    async def test_settle_release_goes_first_in_its_priority(self, broker: Broker) -> None:
        """A released job goes before jobs of its priority, and after jobs of a higher one."""
        await broker.enqueue([self.job("a")])
        released = Released(lease=await self.claim_one(broker))
        await broker.enqueue([self.job("low", priority=4), self.job("high", priority=6), self.job("b")])
        await self.pass_time(self.tick / 10)
        await broker.settle([released])
        assert [lease.job_id for lease in await self.claim(broker)] == ["high", "a", "b", "low"]

    async def test_settle_dead_job_has_record(self, broker: Broker) -> None:
        """A dead job is not run again, its id is known, and a repeated settlement changes nothing."""
        await broker.enqueue([self.job("a")])
        dead = Dead(lease=await self.claim_one(broker), reason="malformed", failure=FAILURE)
        assert await broker.settle([dead]) == [Settled.DONE]
        assert await broker.settle([dead]) == [Settled.ALREADY]
        assert await broker.enqueue([self.job("a")]) == [False]
        assert await self.claim(broker) == []

    async def test_settle_several_queues_answers_in_order(self, broker: Broker) -> None:
        """The settlements of one call may be of several queues; the answers are in their order."""
        await broker.enqueue([self.job("a", queue=queue) for queue in ("p", "q", "r")])
        leases = {lease.queue: lease for lease in await self.claim(broker, queues=("p", "q", "r"))}
        done = Completed(lease=leases["q"], retain_for=60)
        assert await broker.settle([done]) == [Settled.DONE]
        put_back, other = Retried(lease=leases["r"], delay=60), Completed(lease=leases["p"])
        assert await broker.settle([put_back, done, other]) == [Settled.DONE, Settled.ALREADY, Settled.DONE]
        assert await self.claim(broker, queues=("p", "q", "r")) == []

    async def test_settle_release_latest_goes_first(self, broker: Broker) -> None:
        """Of jobs that were released one after the other, the latest goes first."""
        await broker.enqueue([self.job("a"), self.job("b"), self.job("c")])
        leases = {lease.job_id: lease for lease in await self.claim(broker, 2)}
        for id in ("a", "b"):
            await broker.settle([Released(lease=leases[id])])
            await self.pass_time(self.tick)
        assert [lease.job_id for lease in await self.claim(broker)] == ["b", "a", "c"]

    async def test_settle_release_with_delay_waits(self, broker: Broker) -> None:
        """A job that is released with a delay is due after it."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Released(lease=await self.claim_one(broker), delay=self.tick * 2)])
        assert await self.claim(broker) == []
        await self.pass_time(self.tick * 2.5)
        assert (await self.claim_one(broker)).attempt == 1

    async def test_settle_batch_answers_each_job(self, broker: Broker) -> None:
        """In a batch over two queues each settlement gets its own answer."""
        await broker.enqueue([self.job(id) for id in "abcdef"])
        await broker.enqueue([self.job("g", queue="other")])
        a, b, c, d, e, f, g = await self.claim(broker, queues=("q", "other"))
        await broker.settle([Completed(lease=e)])
        settled = await broker.settle(
            [
                Completed(lease=g),
                Completed(lease=a),
                Retried(lease=b, delay=600),
                Completed(lease=e),
                Released(lease=c),
                Dead(lease=d, reason="unknown_task"),
                Expired(lease=f, failure=FAILURE),
            ]
        )
        # The fourth is stale: it was settled before the batch, and left no record.
        assert settled == [Settled.DONE] * 3 + [Settled.STALE] + [Settled.DONE] * 3
        assert [lease.job_id for lease in await self.claim(broker, queues=("q", "other"))] == ["c"]
