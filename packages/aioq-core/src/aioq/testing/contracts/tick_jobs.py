"""What a ledger must do when the ticks that are won become jobs."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio

from aioq.model.cron import TickOutcome, TickReply, TickStatus
from aioq.model.ids import tick_id
from aioq.model.job import Completed, Expired, Failure, Released, Retried
from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.ledger_suite import LedgerSuite

__all__ = ["TickJobContract"]

WON, LOST, BUSY = TickOutcome.WON, TickOutcome.LOST, TickOutcome.BUSY


class TickJobContract(LedgerSuite):
    """Claiming and enqueueing in one step. The entry's job is of queue `q`."""

    async def schedule(self, ledger: TickLedger, *ticks: float, **changes: Any) -> TickReply:
        """Bid for ticks that are to become jobs."""
        return await self.bid(ledger, *ticks, job=self.job("template", payload=b"[1]", priority=7), **changes)

    async def test_every_tick_that_is_won_becomes_a_job(self, broker: Broker, ledger: TickLedger) -> None:
        """The template's job under an id of the tick, in the order of the ticks."""
        now = await broker.time()
        assert (await self.schedule(ledger, now - 60, now)).won == (now - 60, now)
        leases = await self.claim(broker)
        assert [lease.job_id for lease in leases] == [tick_id("report", now - 60), tick_id("report", now)]
        assert {(lease.task, lease.payload, lease.priority) for lease in leases} == {("tasks.work", b"[1]", 7)}

    async def test_the_job_is_of_the_claims_queue(self, broker: Broker, ledger: TickLedger) -> None:
        """Whatever the template says."""
        await self.bid(ledger, await broker.time(), job=self.job("template", queue="elsewhere"))
        assert [lease.queue for lease in await self.claim(broker, queues=("elsewhere", "q"))] == ["q"]

    async def test_a_bid_that_loses_enqueues_nothing(self, broker: Broker, ledger: TickLedger) -> None:
        """Nor does one that is early, or paused."""
        now = await broker.time()
        await self.bid(ledger, now - 60)
        assert (await self.schedule(ledger, now - 60)).outcome is LOST
        await self.schedule(ledger, now + 3600)
        await ledger.pause_cron(self.key(), note="", by="me")
        await self.schedule(ledger, now)
        assert await self.claim(broker) == []

    async def test_many_bids_at_once_enqueue_one_job(self, broker: Broker, ledger: TickLedger) -> None:
        """A fleet that bids for one tick at the same moment enqueues it once."""
        now = await broker.time()
        async with anyio.create_task_group() as tg:
            for n in range(20):
                tg.start_soon(partial(self.schedule, ledger, now, worker=f"w{n}"))
        assert len(await self.claim(broker)) == 1

    async def test_a_repeated_claim_enqueues_no_second_job(self, broker: Broker, ledger: TickLedger) -> None:
        """Not even when the first has run and nothing is kept of it."""
        claim = self.claim_of(await broker.time(), job=self.job("template"))
        await ledger.claim_tick(claim)
        await broker.settle([Completed(lease=await self.claim_one(broker))])
        assert (await ledger.claim_tick(claim)).outcome is WON
        assert await self.claim(broker) == []

    async def test_a_job_that_is_known_is_not_enqueued_again(self, broker: Broker, ledger: TickLedger) -> None:
        """Somebody put the tick's job in line by hand, perhaps with other arguments."""
        now = await broker.time()
        await broker.enqueue([self.job(tick_id("report", now), payload=b"by hand")])
        assert (await self.schedule(ledger, now)).outcome is WON
        assert [lease.payload for lease in await self.claim(broker)] == [b"by hand"]

    async def test_a_job_that_is_kept_is_not_enqueued_again(self, broker: Broker, ledger: TickLedger) -> None:
        """Somebody put the tick's job in line by hand, and it has ended: here unrun, for it came too late."""
        now = await broker.time()
        await broker.enqueue([self.job(tick_id("report", now), payload=b"[1]")])
        late = Failure("JobExpired", "too late", "")
        await broker.settle([Expired(lease=await self.claim_one(broker), failure=late)])
        assert (await self.schedule(ledger, now)).outcome is WON
        assert await self.claim(broker) == []

    async def test_a_delay_of_the_template_is_kept(self, broker: Broker, ledger: TickLedger) -> None:
        """The job is scheduled, and due when its time has come."""
        job = self.job("template", delay=self.tick)
        await self.bid(ledger, await broker.time(), job=job)
        assert await self.claim(broker) == []
        await self.pass_time(self.tick * 1.5)
        assert len(await self.claim(broker)) == 1

    async def test_the_record_names_the_job(self, broker: Broker, ledger: TickLedger) -> None:
        """So whoever reads of a tick that fired can look its job up."""
        now = await self.whole_now(broker)
        await self.schedule(ledger, now)
        (record,) = await ledger.tick_history(self.key())
        assert (record.status, record.worker_id, record.job_id) == (TickStatus.FIRED, "w1", tick_id("report", now))

    async def test_whoever_runs_the_job_replaces_the_record(self, broker: Broker, ledger: TickLedger) -> None:
        """The tick of a job has one record, whoever won it and whoever ran it."""
        now = await self.whole_now(broker)
        await self.schedule(ledger, now)
        done = self.tick_record(
            now, worker_id="w2", fired_at=now, finished_at=now, job_id=tick_id("report", now), result=b"7"
        )
        await ledger.record_ticks([done])
        assert await self.told(ledger) == [(now, "ok", "")]
        status = await self.status(ledger)
        assert (status.counts.fired, status.counts.ok, status.last_result) == (1, 1, b"7")

    async def test_skip_waits_for_the_end_of_the_job(self, broker: Broker, ledger: TickLedger) -> None:
        """While the job of the tick before waits, runs or is retried, no other is enqueued."""
        now = await broker.time()
        await self.schedule(ledger, now - 60, overlap="skip")
        assert (await self.schedule(ledger, now - 50, overlap="skip")).outcome is BUSY
        lease = await self.claim_one(broker)
        assert (await self.schedule(ledger, now - 40, overlap="skip")).outcome is BUSY
        await broker.settle([Retried(lease=lease, delay=0)])
        assert (await self.schedule(ledger, now - 30, overlap="skip")).outcome is BUSY
        await broker.settle([Completed(lease=await self.claim_one(broker))])
        assert (await self.schedule(ledger, now, overlap="skip")).outcome is WON

    async def test_the_end_of_the_job_counts_and_not_that_of_a_lease(self, broker: Broker, ledger: TickLedger) -> None:
        """However long a job waits in line, it goes on."""
        now = await broker.time()
        await self.schedule(ledger, now - 60, overlap="skip", run=self.tick)
        await self.pass_time(self.tick * 1.5)
        assert (await self.schedule(ledger, now, overlap="skip")).outcome is BUSY

    async def test_queue_one_lets_one_job_wait(self, broker: Broker, ledger: TickLedger) -> None:
        """One runs and one waits in line; a third is left out."""
        now = await broker.time()
        assert (await self.schedule(ledger, now - 60, overlap="queue_one")).outcome is WON
        assert (await self.schedule(ledger, now - 50, overlap="queue_one")).outcome is BUSY
        await self.claim_one(broker)
        assert (await self.schedule(ledger, now - 40, overlap="queue_one")).outcome is WON
        assert (await self.schedule(ledger, now - 30, overlap="queue_one")).outcome is BUSY
        assert len(await self.claim(broker)) == 1

    async def test_a_job_that_was_put_back_has_not_been_started(self, broker: Broker, ledger: TickLedger) -> None:
        """A worker that claimed the waiting job too early and released it leaves it waiting; a retry does not."""
        now = await broker.time()
        await self.schedule(ledger, now - 60, overlap="queue_one")
        await broker.settle([Released(lease=await self.claim_one(broker))])
        assert (await self.schedule(ledger, now - 50, overlap="queue_one")).outcome is BUSY
        await broker.settle([Retried(lease=await self.claim_one(broker), delay=60)])
        assert (await self.schedule(ledger, now - 40, overlap="queue_one")).outcome is WON

    async def test_the_other_policies_enqueue_whatever_runs(self, broker: Broker, ledger: TickLedger) -> None:
        """`allow` and `cancel` enqueue a job for every tick."""
        now = await broker.time()
        for n, overlap in enumerate(["allow", "cancel", "allow"]):
            assert (await self.schedule(ledger, now - 60 + n, overlap=overlap)).outcome is WON
        assert len(await self.claim(broker)) == 3

    async def test_the_job_is_the_run(self, broker: Broker, ledger: TickLedger) -> None:
        """The status shows a run until the job has ended."""
        now = await self.whole_now(broker)
        await self.schedule(ledger, now, run=self.tick)
        await self.pass_time(self.tick * 1.5)
        assert (await self.status(ledger)).running == self.run_of(now)
        await broker.settle([Completed(lease=await self.claim_one(broker))])
        assert (await self.status(ledger)).running is None
