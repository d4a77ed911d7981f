"""Tests ticks that come while an earlier run goes on."""

from __future__ import annotations

from aioq.model.cron import TickOutcome
from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.ledger_suite import HOURLY, LedgerSuite

__all__ = ["TickRunContract"]

WON, LOST, BUSY = TickOutcome.WON, TickOutcome.LOST, TickOutcome.BUSY
PAUSED, QUEUED, SUPERSEDED = TickOutcome.PAUSED, TickOutcome.QUEUED, TickOutcome.SUPERSEDED


class TickRunContract(LedgerSuite):
    """Runs, their extension, and `overlap`."""

    async def test_claim_tick_skip_during_run_is_busy(self, broker: Broker, ledger: TickLedger) -> None:
        """With `skip`, ticks during a run are `BUSY`, decided and recorded, also for the worker that runs it."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60, overlap="skip")
        reply = await self.claim_tick(ledger, now - 30, now - 20, worker="w2", overlap="skip")
        assert (reply.outcome, reply.won, reply.previous) == (BUSY, (), now - 60)
        assert (await self.claim_tick(ledger, now - 10, overlap="skip")).outcome is BUSY
        assert (await self.claim_tick(ledger, now - 20, overlap="skip")).outcome is LOST
        skipped = [(now - 10, "skipped", "overlap"), (now - 20, "skipped", "overlap"), (now - 30, "skipped", "overlap")]
        assert await self.recorded(ledger) == [*skipped, (now - 60, "fired", "")]

    async def test_claim_tick_busy_repeats_answer(self, broker: Broker, ledger: TickLedger) -> None:
        """A repeated claim gets the answer `BUSY` even if the run has ended meanwhile."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60)
        claim = self.claim_of(now, worker="w2", overlap="skip")
        assert (await ledger.claim_tick(claim)).outcome is BUSY
        await ledger.record_ticks([self.tick_record(now - 60, worker_id="w1", finished_at=now)])
        assert (await ledger.claim_tick(claim)).outcome is BUSY

    async def test_run_not_extended_is_over(self, broker: Broker, ledger: TickLedger) -> None:
        """A run that is not extended is over after the `run` seconds of its claim."""
        now = await broker.time()
        await self.claim_tick(ledger, now - 60, run=self.tick)
        assert (await self.claim_tick(ledger, now - 30, worker="w2", overlap="skip")).outcome is BUSY
        await self.pass_time(self.tick * 1.5)
        assert (await self.claim_tick(ledger, now, worker="w2", overlap="skip")).outcome is WON

    async def test_extend_runs_keeps_run_going(self, broker: Broker, ledger: TickLedger) -> None:
        """An extended run goes on for the given seconds."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60, run=self.tick)
        assert await ledger.extend_runs([self.run_of(now - 60)], seconds=60) == []
        await self.pass_time(self.tick * 1.5)
        assert (await self.status(ledger)).running == self.run_of(now - 60)
        assert (await self.claim_tick(ledger, now + 0.9, worker="w2", overlap="skip")).outcome is BUSY

    async def test_extend_runs_overdue_run(self, broker: Broker, ledger: TickLedger) -> None:
        """A run whose time is over can be extended as long as no other run has begun."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60, run=self.tick)
        await self.pass_time(self.tick * 1.5)
        assert await ledger.extend_runs([self.run_of(now - 60)], seconds=60) == []
        assert (await self.claim_tick(ledger, now, worker="w2", overlap="skip")).outcome is BUSY

    async def test_extend_runs_returns_replaced_run(self, broker: Broker, ledger: TickLedger) -> None:
        """With `allow` and `cancel` a newer run replaces the old one, which `extend_runs` returns."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60)
        assert (await self.claim_tick(ledger, now - 30, worker="w2", overlap="cancel")).outcome is WON
        old, new = self.run_of(now - 60), self.run_of(now - 30, "w2")
        assert await ledger.extend_runs([new, old], seconds=60) == [old]
        assert (await self.claim_tick(ledger, now, overlap="allow")).outcome is WON
        assert await ledger.extend_runs([old, new, self.run_of(now)], seconds=60) == [old, new]

    async def test_record_ticks_finished_at_ends_run(self, broker: Broker, ledger: TickLedger) -> None:
        """A run ends by a record of its worker with `finished_at`, and by no other."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60)
        # The worker of a replaced run may report its end late, and that must not end the newer run.
        other = self.tick_record(now - 60, worker_id="w2", finished_at=now)
        await ledger.record_ticks([other, self.tick_record(now - 60, worker_id="w1")])
        assert (await self.claim_tick(ledger, now - 30, worker="w2", overlap="skip")).outcome is BUSY
        await ledger.record_ticks([self.tick_record(now - 60, worker_id="w1", finished_at=now)])
        assert (await self.status(ledger)).running is None
        assert (await self.claim_tick(ledger, now + 0.9, worker="w2", overlap="skip")).outcome is WON

    async def test_extend_runs_ended_run_stays_over(self, broker: Broker, ledger: TickLedger) -> None:
        """Extending a run that has ended neither restarts it nor reports it as replaced."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now)
        await ledger.record_ticks([self.tick_record(now, worker_id="w1", finished_at=now)])
        assert await ledger.extend_runs([self.run_of(now)], seconds=60) == []
        assert (await self.status(ledger)).running is None

    async def test_extend_runs_unknown_run_is_not_replaced(self, ledger: TickLedger) -> None:
        """An unknown run is not reported as replaced."""
        assert await ledger.extend_runs([self.run_of(60.0)], seconds=60) == []
        assert await ledger.extend_runs([], seconds=60) == []

    async def test_claim_tick_queue_one_wins_after_run(self, broker: Broker, ledger: TickLedger) -> None:
        """With `queue_one` the repeated claim is `QUEUED` until the run is over, and then wins."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60)
        claim = self.claim_of(now - 30, now - 20, worker="w2", overlap="queue_one")
        assert [(await ledger.claim_tick(claim)).outcome for _ in range(2)] == [QUEUED, QUEUED]
        # A tick that waits has no record yet: it may still be skipped.
        assert len(await self.recorded(ledger)) == 1
        await ledger.record_ticks([self.tick_record(now - 60, worker_id="w1", finished_at=now)])
        reply = await ledger.claim_tick(claim)
        assert (reply.outcome, reply.won, reply.previous) == (WON, claim.ticks, now - 60)
        assert (await ledger.claim_tick(claim)).outcome is WON
        assert await ledger.extend_runs([self.run_of(now - 20, "w2")], seconds=60) == []

    async def test_claim_tick_queue_one_waits_for_own_run(self, broker: Broker, ledger: TickLedger) -> None:
        """A worker waits for its own run, too, so that skipped ticks are not recorded as fired."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60)
        older, newer = (self.claim_of(tick, overlap="queue_one") for tick in (now - 30, now - 20))
        assert [(await ledger.claim_tick(claim)).outcome for claim in (older, newer)] == [QUEUED, QUEUED]
        assert await self.recorded(ledger) == [(now - 30, "skipped", "overlap"), (now - 60, "fired", "")]

    async def test_claim_tick_queue_one_latest_tick_is_next(self, broker: Broker, ledger: TickLedger) -> None:
        """Of several waiting claims the latest tick is next; the others are lost and recorded as skipped."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60)
        older = self.claim_of(now - 30, worker="w2", overlap="queue_one")
        newer = self.claim_of(now - 20, worker="w3", overlap="queue_one")
        assert (await ledger.claim_tick(older)).outcome is QUEUED
        assert (await ledger.claim_tick(newer)).outcome is QUEUED
        assert (await ledger.claim_tick(older)).outcome is LOST
        assert await self.recorded(ledger) == [(now - 30, "skipped", "overlap"), (now - 60, "fired", "")]
        await ledger.record_ticks([self.tick_record(now - 60, worker_id="w1", finished_at=now)])
        assert (await ledger.claim_tick(newer)).won == (now - 20,)

    async def test_claim_tick_queue_one_vanished_waiter_is_skipped(self, broker: Broker, ledger: TickLedger) -> None:
        """If the waiting worker vanishes, the next tick wins after the run."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60, run=self.tick)
        assert (await self.claim_tick(ledger, now - 30, worker="w2", overlap="queue_one")).outcome is QUEUED
        await self.pass_time(self.tick * 1.5)
        assert (await self.claim_tick(ledger, now, worker="w3", overlap="queue_one")).won == (now,)
        assert await self.recorded(ledger) == [
            (now, "fired", ""),
            (now - 30, "skipped", "overlap"),
            (now - 60, "fired", ""),
        ]

    async def test_claim_tick_queued_then_paused_or_superseded(self, broker: Broker, ledger: TickLedger) -> None:
        """A waiting claim is answered with `PAUSED` or `SUPERSEDED` if that happens meanwhile."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60)
        claim = self.claim_of(now, worker="w2", overlap="queue_one")
        assert (await ledger.claim_tick(claim)).outcome is QUEUED
        await self.register(ledger, self.entry(fingerprint=HOURLY))
        assert (await ledger.claim_tick(claim)).outcome is SUPERSEDED
        await self.register(ledger, self.entry())
        assert (await ledger.claim_tick(claim)).outcome is QUEUED
        await ledger.pause_cron(self.key(), note="", by="me")
        assert (await ledger.claim_tick(claim)).outcome is PAUSED
        assert (now, "skipped", "paused") in await self.recorded(ledger)
