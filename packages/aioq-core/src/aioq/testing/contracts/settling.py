"""What every broker must do when it is told how an attempt ended."""

from __future__ import annotations

from aioq.model.job import Completed, Dead, Expired, Failed, Released, Retried, Settled
from aioq.protocols import Broker
from aioq.testing.contracts.suite import FAILURE, BrokerSuite

__all__ = ["SettleContract"]


class SettleContract(BrokerSuite):
    """Who holds the lease settles the job, once."""

    async def test_a_completed_job_is_gone(self, broker: Broker) -> None:
        """After its completion nobody can claim, extend or settle the job."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker)
        assert await broker.settle([Completed(lease=lease)]) == [Settled.DONE]
        assert await self.claim(broker) == []
        assert await broker.settle([Completed(lease=lease)]) == [Settled.STALE]

    async def test_a_finished_id_without_a_record_is_free_again(self, broker: Broker) -> None:
        """With nothing kept, the id may be used for a new job."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Completed(lease=await self.claim_one(broker))])
        assert await broker.enqueue([self.job("a", payload=b"other")]) == [True]

    async def test_a_kept_record_blocks_its_id_until_it_expires(self, broker: Broker) -> None:
        """As long as the record of an ended job is kept, its id is known."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Completed(lease=await self.claim_one(broker), result=b"1", retain_for=self.tick * 3)])
        assert await broker.enqueue([self.job("a")]) == [False]
        await self.pass_time(self.tick * 4)
        assert await broker.enqueue([self.job("a")]) == [True]

    async def test_repeating_a_settlement_changes_nothing(self, broker: Broker) -> None:
        """The same epoch reporting again is told that it had reported already."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker)
        settlement = Completed(lease=lease, result=b"1", retain_for=60)
        assert await broker.settle([settlement]) == [Settled.DONE]
        assert await broker.settle([settlement]) == [Settled.ALREADY]
        assert await broker.settle([Failed(lease=lease, failure=FAILURE, retain_for=60)]) == [Settled.ALREADY]

    async def test_a_late_settlement_is_refused(self, broker: Broker) -> None:
        """Of two workers that ran the job only the holder of the current epoch settles it."""
        late = await self.expire(broker)
        await broker.reap(["q"])
        holder = await self.claim_one(broker, worker="w2")
        assert (holder.epoch, holder.attempt, holder.crashes) == (2, 2, 1)
        assert await broker.settle([Completed(lease=late, result=b"late", retain_for=60)]) == [Settled.STALE]
        assert await broker.settle([Completed(lease=holder, result=b"right", retain_for=60)]) == [Settled.DONE]
        assert await broker.settle([Completed(lease=late, result=b"late", retain_for=60)]) == [Settled.STALE]

    async def test_a_reaped_lease_cannot_settle_even_before_the_next_claim(self, broker: Broker) -> None:
        """Once reaped, the job is back in line, and its former holder is refused."""
        late = await self.expire(broker)
        await broker.reap(["q"])
        assert await broker.settle([Completed(lease=late)]) != [Settled.DONE]
        assert [lease.job_id for lease in await self.claim(broker)] == ["a"]

    async def test_an_expired_lease_that_nobody_reaped_settles(self, broker: Broker) -> None:
        """A worker that finishes late, but before anybody took over, is believed."""
        lease = await self.expire(broker)
        assert await broker.settle([Completed(lease=lease)]) == [Settled.DONE]
        assert await broker.reap(["q"]) == []

    async def test_a_retry_comes_back_after_its_delay(self, broker: Broker) -> None:
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

    async def test_a_retry_without_delay_is_due_at_once(self, broker: Broker) -> None:
        """A delay of 0 s needs no waiting."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Retried(lease=await self.claim_one(broker), delay=0)])
        assert (await self.claim_one(broker)).attempt == 2

    async def test_a_retry_goes_to_the_back_of_its_priority(self, broker: Broker) -> None:
        """Others that are as important, and came due before the retry, go first."""
        await broker.enqueue([self.job("a", priority=6), self.job("low"), self.job("b", priority=6)])
        retried = Retried(lease=await self.claim_one(broker), delay=0)
        await self.pass_time(self.tick / 10)
        await broker.settle([retried])
        assert [lease.job_id for lease in await self.claim(broker)] == ["b", "a", "low"]

    async def test_a_release_gives_the_attempt_back(self, broker: Broker) -> None:
        """A released job is first in line again, and the attempt was never spent."""
        await broker.enqueue([self.job("a"), self.job("b")])
        released = Released(lease=await self.claim_one(broker))
        assert await broker.settle([released]) == [Settled.DONE]
        assert await broker.settle([released]) == [Settled.ALREADY]
        again = await self.claim_one(broker)
        assert (again.job_id, again.attempt, again.epoch) == ("a", 1, 2)

    async def test_a_released_job_goes_before_those_of_its_priority(self, broker: Broker) -> None:
        """But behind those of a higher one, however long its run was."""
        await broker.enqueue([self.job("a")])
        released = Released(lease=await self.claim_one(broker))
        await broker.enqueue([self.job("low", priority=4), self.job("high", priority=6), self.job("b")])
        await self.pass_time(self.tick / 10)
        await broker.settle([released])
        assert [lease.job_id for lease in await self.claim(broker)] == ["high", "a", "b", "low"]

    async def test_a_dead_job_is_kept(self, broker: Broker) -> None:
        """It is not run again, its id is known, and a repeated burial changes nothing."""
        await broker.enqueue([self.job("a")])
        dead = Dead(lease=await self.claim_one(broker), reason="malformed", failure=FAILURE)
        assert await broker.settle([dead]) == [Settled.DONE]
        assert await broker.settle([dead]) == [Settled.ALREADY]
        assert await broker.enqueue([self.job("a")]) == [False]
        assert await self.claim(broker) == []

    async def test_a_release_may_be_delayed(self, broker: Broker) -> None:
        """A job released with a delay waits for it."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Released(lease=await self.claim_one(broker), delay=self.tick * 2)])
        assert await self.claim(broker) == []
        await self.pass_time(self.tick * 2.5)
        assert (await self.claim_one(broker)).attempt == 1

    async def test_one_batch_settles_each_job_on_its_own(self, broker: Broker) -> None:
        """In a mixed batch over two queues each settlement gets its own answer."""
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
        assert settled == [Settled.DONE] * 3 + [Settled.STALE] + [Settled.DONE] * 3
        assert [lease.job_id for lease in await self.claim(broker, queues=("q", "other"))] == ["c"]
