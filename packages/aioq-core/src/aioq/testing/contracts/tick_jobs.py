"""Tests `TickLedger.claim_tick` with a job."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from aioq.model.cron import TickOutcome, TickReply, TickStatus
from aioq.model.ids import tick_id
from aioq.model.job import Completed, Dead, Expired, Failed, Failure, Lease, Released, Retried, Settlement
from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.ledger_suite import LedgerSuite
from aioq.testing.contracts.suite import FAILURE

__all__ = ["TickJobContract"]

WON, LOST, BUSY = TickOutcome.WON, TickOutcome.LOST, TickOutcome.BUSY


class TickJobContract(LedgerSuite):
    """A claim with a job enqueues it atomically. The job is in queue `q`."""

    async def schedule(self, ledger: TickLedger, *ticks: float, **changes: Any) -> TickReply:
        """Bid for ticks that are to become jobs."""
        return await self.claim_tick(ledger, *ticks, job=self.job("template", payload=b"[1]", priority=7), **changes)

    async def test_claim_tick_enqueues_job_for_each_won_tick(self, broker: Broker, ledger: TickLedger) -> None:
        """Each tick that was won becomes the template's job with the tick's id, in order."""
        now = await broker.time()
        assert (await self.schedule(ledger, now - 60, now)).won == (now - 60, now)
        leases = await self.claim(broker)
        assert [lease.job_id for lease in leases] == [tick_id("report", now - 60), tick_id("report", now)]
        assert {(lease.task, lease.payload, lease.priority) for lease in leases} == {("tasks.work", b"[1]", 7)}

    async def test_claim_tick_job_has_payload_of_its_tick(self, broker: Broker, ledger: TickLedger) -> None:
        """If a claim has a payload for each tick, each job has its own, also after a tick that was lost."""
        now = await broker.time()
        await self.claim_tick(ledger, now - 120)
        payloads = (b"[0]", b"[1]", b"[2]")
        assert (await self.schedule(ledger, now - 120, now - 60, now, payloads=payloads)).won == (now - 60, now)
        leases = await self.claim(broker)
        assert [(lease.job_id, lease.payload) for lease in leases] == [
            (tick_id("report", now - 60), b"[1]"),
            (tick_id("report", now), b"[2]"),
        ]

    async def test_claim_tick_job_knows_latest_success(self, broker: Broker, ledger: TickLedger) -> None:
        """If a lease has the latest success of its entry, it is what the ledger has recorded before the claim."""
        now = await broker.time()
        results = [(now - 40, None), (now - 30, b"{}"), (now - 20, b"\x00\n\xff"), (now - 10, b"x" * 10_000)]
        for tick, result in results:
            await self.schedule(ledger, tick, overlap="allow")
            done = self.tick_record(tick, worker_id="w1", fired_at=tick, finished_at=tick, result=result)
            await ledger.record_ticks([done])
        await self.schedule(ledger, now, overlap="allow")
        leases = await self.claim(broker)
        known = [lease.latest_success for lease in leases]
        assert known[0] is None or known[0].tick is None
        for success, (tick, result) in zip(known[1:], results, strict=True):
            if success is not None:
                assert success.tick == pytest.approx(tick, abs=0.001)
                assert success.result == result

    async def test_claim_tick_job_has_queue_of_claim(self, broker: Broker, ledger: TickLedger) -> None:
        """The job is stored in the claim's queue, whatever the template says."""
        await self.claim_tick(ledger, await broker.time(), job=self.job("template", queue="elsewhere"))
        assert [lease.queue for lease in await self.claim(broker, queues=("elsewhere", "q"))] == ["q"]

    async def test_claim_tick_same_name_in_other_queue_enqueues_both(self, broker: Broker, ledger: TickLedger) -> None:
        """Entries of one name in two queues have a job each for the same tick, and neither waits for the other's."""
        now = await broker.time()
        for queue in "pq":
            assert (await self.schedule(ledger, now - 60, queue=queue, overlap="skip")).outcome is WON
        of_p, of_q = await self.claim(broker, queues=("p", "q"))
        assert [(lease.queue, lease.job_id) for lease in (of_p, of_q)] == [
            ("p", tick_id("report", now - 60)), ("q", tick_id("report", now - 60)),
        ]  # fmt: skip
        await broker.settle([Completed(lease=of_p)])
        assert (await self.schedule(ledger, now, queue="q", overlap="skip")).outcome is BUSY
        assert (await self.schedule(ledger, now, queue="p", overlap="skip")).outcome is WON

    async def test_claim_tick_not_won_enqueues_nothing(self, broker: Broker, ledger: TickLedger) -> None:
        """A claim that is lost, early or paused enqueues no job."""
        now = await broker.time()
        await self.claim_tick(ledger, now - 60)
        assert (await self.schedule(ledger, now - 60)).outcome is LOST
        await self.schedule(ledger, now + 3600)
        await ledger.pause_cron(self.key(), note="", by="me")
        await self.schedule(ledger, now)
        assert await self.claim(broker) == []

    async def test_claim_tick_concurrent_claims_enqueue_one_job(self, broker: Broker, ledger: TickLedger) -> None:
        """Many concurrent claims of one tick enqueue one job."""
        now = await broker.time()
        async with anyio.create_task_group() as tg:
            for n in range(20):
                tg.start_soon(partial(self.schedule, ledger, now, worker=f"w{n}"))
        assert len(await self.claim(broker)) == 1

    async def test_claim_tick_repeated_enqueues_no_second_job(self, broker: Broker, ledger: TickLedger) -> None:
        """A repeated claim enqueues nothing, even if the job has run and left no record."""
        claim = self.claim_of(await broker.time(), job=self.job("template"))
        await ledger.claim_tick(claim)
        await broker.settle([Completed(lease=await self.claim_one(broker))])
        assert (await ledger.claim_tick(claim)).outcome is WON
        assert await self.claim(broker) == []

    async def test_claim_tick_known_job_is_not_enqueued(self, broker: Broker, ledger: TickLedger) -> None:
        """A tick whose job is already stored, perhaps with other arguments, enqueues nothing."""
        now = await broker.time()
        await broker.enqueue([self.job(tick_id("report", now), payload=b"by hand")])
        assert (await self.schedule(ledger, now)).outcome is WON
        assert [lease.payload for lease in await self.claim(broker)] == [b"by hand"]

    async def test_claim_tick_ended_job_with_record_is_not_enqueued(self, broker: Broker, ledger: TickLedger) -> None:
        """A tick whose job has ended and left a record enqueues nothing."""
        now = await broker.time()
        await broker.enqueue([self.job(tick_id("report", now), payload=b"[1]")])
        late = Failure("JobExpired", "too late", "")
        await broker.settle([Expired(lease=await self.claim_one(broker), failure=late)])
        assert (await self.schedule(ledger, now)).outcome is WON
        assert await self.claim(broker) == []

    async def test_claim_tick_job_keeps_expires_of_template(self, broker: Broker, ledger: TickLedger) -> None:
        """The latest start of the job of a tick counts from its due time, as with every other job."""
        now = await broker.time()
        await self.claim_tick(ledger, now, job=self.job("template", expires=60.0))
        lease = await self.claim_one(broker)
        assert lease.expires_at is not None
        assert 59.9 < lease.expires_at - lease.enqueued_at < 60.1

    async def test_claim_tick_job_keeps_delay_of_template(self, broker: Broker, ledger: TickLedger) -> None:
        """The job of a template with a delay is scheduled, and due after the delay."""
        job = self.job("template", delay=self.tick)
        await self.claim_tick(ledger, await broker.time(), job=job)
        assert await self.claim(broker) == []
        await self.pass_time(self.tick * 1.5)
        assert len(await self.claim(broker)) == 1

    async def test_claim_tick_record_has_job_id(self, broker: Broker, ledger: TickLedger) -> None:
        """The record of a tick that became a job has the job's id."""
        now = await self.whole_now(broker)
        await self.schedule(ledger, now)
        (record,) = await ledger.tick_history(self.key())
        assert (record.status, record.worker_id, record.job_id) == (TickStatus.FIRED, "w1", tick_id("report", now))

    async def test_record_ticks_of_job_replaces_record(self, broker: Broker, ledger: TickLedger) -> None:
        """The tick of a job has one record, whichever worker won it and ran it."""
        now = await self.whole_now(broker)
        await self.schedule(ledger, now)
        done = self.tick_record(
            now, worker_id="w2", fired_at=now, finished_at=now, job_id=tick_id("report", now), result=b"7"
        )
        await ledger.record_ticks([done])
        assert await self.recorded(ledger) == [(now, "ok", "")]
        status = await self.status(ledger)
        assert (status.counts.fired, status.counts.ok, status.last_result) == (1, 1, b"7")

    async def test_claim_tick_skip_while_job_is_not_ended(self, broker: Broker, ledger: TickLedger) -> None:
        """With `skip` no job is enqueued while that of an earlier tick waits, runs or is retried."""
        now = await broker.time()
        await self.schedule(ledger, now - 60, overlap="skip")
        assert (await self.schedule(ledger, now - 50, overlap="skip")).outcome is BUSY
        lease = await self.claim_one(broker)
        assert (await self.schedule(ledger, now - 40, overlap="skip")).outcome is BUSY
        await broker.settle([Retried(lease=lease, delay=0)])
        assert (await self.schedule(ledger, now - 30, overlap="skip")).outcome is BUSY
        await broker.settle([Completed(lease=await self.claim_one(broker))])
        assert (await self.schedule(ledger, now, overlap="skip")).outcome is WON

    async def test_claim_tick_every_end_of_job_ends_run(self, broker: Broker, ledger: TickLedger) -> None:
        """With `skip` the next job is enqueued after each kind of end, also if the job left a record."""
        now = await broker.time()
        ends: list[Callable[[Lease], Settlement]] = [
            lambda lease: Completed(lease=lease, retain_for=600),
            lambda lease: Failed(lease=lease, failure=FAILURE, retain_for=600),
            lambda lease: Dead(lease=lease, reason="malformed"),
            lambda lease: Expired(lease=lease, failure=FAILURE),
        ]
        for n, end in enumerate(ends):
            assert (await self.schedule(ledger, now - 60 + n, overlap="skip")).outcome is WON
            await broker.settle([end(await self.claim_one(broker))])
        assert (await self.schedule(ledger, now, overlap="skip")).outcome is WON

    async def test_claim_tick_job_run_lasts_until_job_ends(self, broker: Broker, ledger: TickLedger) -> None:
        """The run of a job goes on as long as the job waits, however long that is."""
        now = await broker.time()
        # `run` is the time of a run without a job, and must not count for this one.
        await self.schedule(ledger, now - 60, overlap="skip", run=self.tick)
        await self.pass_time(self.tick * 1.5)
        assert (await self.schedule(ledger, now, overlap="skip")).outcome is BUSY

    async def test_claim_tick_queue_one_lets_one_job_wait(self, broker: Broker, ledger: TickLedger) -> None:
        """With `queue_one` one job runs and one waits; a third is skipped."""
        now = await broker.time()
        assert (await self.schedule(ledger, now - 60, overlap="queue_one")).outcome is WON
        assert (await self.schedule(ledger, now - 50, overlap="queue_one")).outcome is BUSY
        await self.claim_one(broker)
        assert (await self.schedule(ledger, now - 40, overlap="queue_one")).outcome is WON
        assert (await self.schedule(ledger, now - 30, overlap="queue_one")).outcome is BUSY
        assert len(await self.claim(broker)) == 1

    async def test_claim_tick_queue_one_released_job_is_not_started(self, broker: Broker, ledger: TickLedger) -> None:
        """A released job counts as waiting; a retried one counts as started."""
        now = await broker.time()
        await self.schedule(ledger, now - 60, overlap="queue_one")
        await broker.settle([Released(lease=await self.claim_one(broker))])
        assert (await self.schedule(ledger, now - 50, overlap="queue_one")).outcome is BUSY
        await broker.settle([Retried(lease=await self.claim_one(broker), delay=60)])
        assert (await self.schedule(ledger, now - 40, overlap="queue_one")).outcome is WON

    async def test_claim_tick_queue_one_claimed_job_that_waits_is_not_started(
        self, broker: Broker, ledger: TickLedger
    ) -> None:
        """A job that a worker has claimed too early, and is about to release, still is the one that waits."""
        now = await broker.time()
        await self.schedule(ledger, now - 60, overlap="queue_one")
        first = await self.claim_one(broker)
        assert (await self.schedule(ledger, now - 50, overlap="queue_one")).outcome is WON
        second = await self.claim_one(broker)
        assert (await self.schedule(ledger, now - 40, overlap="queue_one")).outcome is BUSY
        await broker.settle([Released(lease=second)])
        assert (await self.schedule(ledger, now - 30, overlap="queue_one")).outcome is BUSY
        await broker.settle([Completed(lease=first)])
        assert (await self.schedule(ledger, now - 20, overlap="queue_one")).outcome is BUSY
        second = await self.claim_one(broker)
        assert (await self.schedule(ledger, now - 10, overlap="queue_one")).outcome is WON
        await broker.settle([Completed(lease=second)])
        assert len(await self.claim(broker)) == 1

    async def test_claim_tick_allow_and_cancel_always_enqueue(self, broker: Broker, ledger: TickLedger) -> None:
        """`allow` and `cancel` enqueue a job for every tick."""
        now = await broker.time()
        for n, overlap in enumerate(["allow", "cancel", "allow"]):
            assert (await self.schedule(ledger, now - 60 + n, overlap=overlap)).outcome is WON
        assert len(await self.claim(broker)) == 3

    async def test_cron_status_running_while_job_is_not_ended(self, broker: Broker, ledger: TickLedger) -> None:
        """The status shows a run until the job has ended."""
        now = await self.whole_now(broker)
        await self.schedule(ledger, now, run=self.tick)
        await self.pass_time(self.tick * 1.5)
        assert (await self.status(ledger)).running == self.run_of(now)
        await broker.settle([Completed(lease=await self.claim_one(broker))])
        assert (await self.status(ledger)).running is None
