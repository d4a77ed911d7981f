"""What a ledger must do about ticks that come while an earlier run goes on."""

from __future__ import annotations

from aioq.model.cron import TickOutcome
from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.ledger_suite import HOURLY, LedgerSuite

__all__ = ["TickRunContract"]

WON, LOST, BUSY = TickOutcome.WON, TickOutcome.LOST, TickOutcome.BUSY
PAUSED, QUEUED, SUPERSEDED = TickOutcome.PAUSED, TickOutcome.QUEUED, TickOutcome.SUPERSEDED


class TickRunContract(LedgerSuite):
    """Signs of life of runs, and `overlap`."""

    async def test_skip_leaves_out_what_comes_while_a_run_goes_on(self, broker: Broker, ledger: TickLedger) -> None:
        """The ticks are spent, told with the mark before, and recorded; also those of the worker that runs."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60, overlap="skip")
        reply = await self.bid(ledger, now - 30, now - 20, worker="w2", overlap="skip")
        assert (reply.outcome, reply.won, reply.previous) == (BUSY, (), now - 60)
        assert (await self.bid(ledger, now - 10, overlap="skip")).outcome is BUSY
        assert (await self.bid(ledger, now - 20, overlap="skip")).outcome is LOST
        skipped = [(now - 10, "skipped", "overlap"), (now - 20, "skipped", "overlap"), (now - 30, "skipped", "overlap")]
        assert await self.told(ledger) == [*skipped, (now - 60, "fired", "")]

    async def test_a_claim_that_was_busy_is_answered_again(self, broker: Broker, ledger: TickLedger) -> None:
        """Even when the run has ended meanwhile: the tick is spent and recorded."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60)
        claim = self.claim_of(now, worker="w2", overlap="skip")
        assert (await ledger.claim_tick(claim)).outcome is BUSY
        await ledger.record_ticks([self.tick_record(now - 60, worker_id="w1", finished_at=now)])
        assert (await ledger.claim_tick(claim)).outcome is BUSY

    async def test_a_run_without_signs_of_life_is_over(self, broker: Broker, ledger: TickLedger) -> None:
        """The worker of a run that went on may be gone; after its `run` seconds it is in nobody's way."""
        now = await broker.time()
        await self.bid(ledger, now - 60, run=self.tick)
        assert (await self.bid(ledger, now - 30, worker="w2", overlap="skip")).outcome is BUSY
        await self.pass_time(self.tick * 1.5)
        assert (await self.bid(ledger, now, worker="w2", overlap="skip")).outcome is WON

    async def test_a_sign_of_life_lets_a_run_go_on(self, broker: Broker, ledger: TickLedger) -> None:
        """It is good for as long as it says."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60, run=self.tick)
        assert await ledger.extend_runs([self.run_of(now - 60)], seconds=60) == []
        await self.pass_time(self.tick * 1.5)
        assert (await self.status(ledger)).running == self.run_of(now - 60)
        assert (await self.bid(ledger, now + 0.9, worker="w2", overlap="skip")).outcome is BUSY

    async def test_a_run_whose_time_was_up_may_go_on(self, broker: Broker, ledger: TickLedger) -> None:
        """A sign of life that comes late is as good as any, while no other run has begun."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60, run=self.tick)
        await self.pass_time(self.tick * 1.5)
        assert await ledger.extend_runs([self.run_of(now - 60)], seconds=60) == []
        assert (await self.bid(ledger, now, worker="w2", overlap="skip")).outcome is BUSY

    async def test_a_run_that_was_replaced_is_told(self, broker: Broker, ledger: TickLedger) -> None:
        """With `allow` and `cancel` a newer run takes the place of the old one, which its worker learns so."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60)
        assert (await self.bid(ledger, now - 30, worker="w2", overlap="cancel")).outcome is WON
        old, new = self.run_of(now - 60), self.run_of(now - 30, "w2")
        assert await ledger.extend_runs([new, old], seconds=60) == [old]
        assert (await self.bid(ledger, now, overlap="allow")).outcome is WON
        assert await ledger.extend_runs([old, new, self.run_of(now)], seconds=60) == [old, new]

    async def test_a_record_of_its_end_ends_a_run(self, broker: Broker, ledger: TickLedger) -> None:
        """Neither a record of another worker's run nor one without `finished_at` does."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60)
        other = self.tick_record(now - 60, worker_id="w2", finished_at=now)
        await ledger.record_ticks([other, self.tick_record(now - 60, worker_id="w1")])
        assert (await self.bid(ledger, now - 30, worker="w2", overlap="skip")).outcome is BUSY
        await ledger.record_ticks([self.tick_record(now - 60, worker_id="w1", finished_at=now)])
        assert (await self.status(ledger)).running is None
        assert (await self.bid(ledger, now + 0.9, worker="w2", overlap="skip")).outcome is WON

    async def test_a_run_that_ended_stays_over(self, broker: Broker, ledger: TickLedger) -> None:
        """A sign of life that was on its way meanwhile does not bring it back, and is no loss."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now)
        await ledger.record_ticks([self.tick_record(now, worker_id="w1", finished_at=now)])
        assert await ledger.extend_runs([self.run_of(now)], seconds=60) == []
        assert (await self.status(ledger)).running is None

    async def test_a_run_that_nobody_knows_is_not_lost(self, ledger: TickLedger) -> None:
        """Nothing has replaced it."""
        assert await ledger.extend_runs([self.run_of(60.0)], seconds=60) == []
        assert await ledger.extend_runs([], seconds=60) == []

    async def test_queue_one_waits_for_the_run_to_end(self, broker: Broker, ledger: TickLedger) -> None:
        """The claim is repeated until the run is over, and wins then."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60)
        claim = self.claim_of(now - 30, now - 20, worker="w2", overlap="queue_one")
        assert [(await ledger.claim_tick(claim)).outcome for _ in range(2)] == [QUEUED, QUEUED]
        assert len(await self.told(ledger)) == 1
        await ledger.record_ticks([self.tick_record(now - 60, worker_id="w1", finished_at=now)])
        reply = await ledger.claim_tick(claim)
        assert (reply.outcome, reply.won, reply.previous) == (WON, claim.ticks, now - 60)
        assert (await ledger.claim_tick(claim)).outcome is WON
        assert await ledger.extend_runs([self.run_of(now - 20, "w2")], seconds=60) == []

    async def test_queue_one_waits_for_a_run_of_ones_own(self, broker: Broker, ledger: TickLedger) -> None:
        """So that what is passed by is told as skipped, and not as fired."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60)
        older, newer = (self.claim_of(tick, overlap="queue_one") for tick in (now - 30, now - 20))
        assert [(await ledger.claim_tick(claim)).outcome for claim in (older, newer)] == [QUEUED, QUEUED]
        assert await self.told(ledger) == [(now - 30, "skipped", "overlap"), (now - 60, "fired", "")]

    async def test_of_those_who_wait_the_latest_tick_is_next(self, broker: Broker, ledger: TickLedger) -> None:
        """The one that was passed by is lost, and recorded as skipped."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60)
        older = self.claim_of(now - 30, worker="w2", overlap="queue_one")
        newer = self.claim_of(now - 20, worker="w3", overlap="queue_one")
        assert (await ledger.claim_tick(older)).outcome is QUEUED
        assert (await ledger.claim_tick(newer)).outcome is QUEUED
        assert (await ledger.claim_tick(older)).outcome is LOST
        assert await self.told(ledger) == [(now - 30, "skipped", "overlap"), (now - 60, "fired", "")]
        await ledger.record_ticks([self.tick_record(now - 60, worker_id="w1", finished_at=now)])
        assert (await ledger.claim_tick(newer)).won == (now - 20,)

    async def test_one_that_waits_and_vanishes_is_passed_by(self, broker: Broker, ledger: TickLedger) -> None:
        """The next tick wins when the run is over, whoever waited."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60, run=self.tick)
        assert (await self.bid(ledger, now - 30, worker="w2", overlap="queue_one")).outcome is QUEUED
        await self.pass_time(self.tick * 1.5)
        assert (await self.bid(ledger, now, worker="w3", overlap="queue_one")).won == (now,)
        assert await self.told(ledger) == [
            (now, "fired", ""),
            (now - 30, "skipped", "overlap"),
            (now - 60, "fired", ""),
        ]

    async def test_one_that_waits_learns_of_a_pause_and_of_a_deploy(self, broker: Broker, ledger: TickLedger) -> None:
        """Waiting is no way around either of them."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60)
        claim = self.claim_of(now, worker="w2", overlap="queue_one")
        assert (await ledger.claim_tick(claim)).outcome is QUEUED
        await self.register(ledger, self.entry(fingerprint=HOURLY))
        assert (await ledger.claim_tick(claim)).outcome is SUPERSEDED
        await self.register(ledger, self.entry())
        assert (await ledger.claim_tick(claim)).outcome is QUEUED
        await ledger.pause_cron(self.key(), note="", by="me")
        assert (await ledger.claim_tick(claim)).outcome is PAUSED
        assert (now, "skipped", "paused") in await self.told(ledger)
