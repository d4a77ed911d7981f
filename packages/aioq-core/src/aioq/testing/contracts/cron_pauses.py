"""What a ledger must do when people pause and resume entries."""

from __future__ import annotations

import pytest

from aioq.model.cron import TickOutcome
from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.ledger_suite import LedgerSuite

__all__ = ["CronPauseContract"]

WON, LOST, PAUSED = TickOutcome.WON, TickOutcome.LOST, TickOutcome.PAUSED


class CronPauseContract(LedgerSuite):
    """Steering by hand."""

    async def test_a_paused_entry_spends_its_ticks(self, broker: Broker, ledger: TickLedger) -> None:
        """They are recorded as skipped, and nobody wins them later."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60)
        assert await ledger.pause_cron(self.key(), note="flood", by="me") is True
        reply = await self.bid(ledger, now - 30, now - 20)
        assert (reply.outcome, reply.won, reply.previous) == (PAUSED, (), now - 60)
        assert (await self.bid(ledger, now - 20, worker="w2")).outcome is LOST
        skipped = [(now - 20, "skipped", "paused"), (now - 30, "skipped", "paused")]
        assert await self.told(ledger) == [*skipped, (now - 60, "fired", "")]

    async def test_a_claim_that_was_paused_is_answered_again(self, broker: Broker, ledger: TickLedger) -> None:
        """Even when the entry has been resumed meanwhile."""
        claim = self.claim_of(await broker.time() + 0.5)
        await ledger.pause_cron(self.key(), note="", by="me")
        assert (await ledger.claim_tick(claim)).outcome is PAUSED
        await ledger.resume_cron(self.key())
        assert (await ledger.claim_tick(claim)).outcome is PAUSED

    async def test_a_pause_is_told_with_its_latest_note(self, broker: Broker, ledger: TickLedger) -> None:
        """Pausing what is paused says so, and keeps the newer note."""
        await self.register(ledger, self.entry())
        before = await broker.time()
        assert await ledger.pause_cron(self.key(), note="flood", by="me") is True
        assert await ledger.pause_cron(self.key(), note='"fire", é', by="you") is False
        pause = (await self.status(ledger)).pause
        assert pause is not None
        assert (pause.note, pause.by) == ('"fire", é', "you")
        assert pause.at == pytest.approx(before, abs=5)

    async def test_a_resumed_entry_fires_from_the_next_tick_on(self, broker: Broker, ledger: TickLedger) -> None:
        """It owes nothing of the time in which it was paused."""
        await self.register(ledger, self.entry())
        armed = (await self.status(ledger)).armed_at
        await ledger.pause_cron(self.key(), note="", by="me")
        await self.pass_time(self.tick)
        between = await broker.time()
        await self.pass_time(self.tick)
        assert await ledger.resume_cron(self.key()) is True
        status = await self.status(ledger)
        assert status.pause is None
        assert status.armed_at >= armed + self.tick
        assert (await self.bid(ledger, between)).outcome is LOST
        reply = await self.bid(ledger, await broker.time() + 0.5)
        assert (reply.outcome, reply.previous) == (WON, status.last_tick)

    async def test_what_is_not_paused_cannot_be_resumed(self, ledger: TickLedger) -> None:
        """The answer says so, and nothing is armed."""
        await self.register(ledger, self.entry())
        before = await self.status(ledger)
        assert await ledger.resume_cron(self.key()) is False
        assert await ledger.resume_cron(self.key("unknown")) is False
        assert await self.status(ledger) == before
        await ledger.pause_cron(self.key(), note="", by="me")
        assert [await ledger.resume_cron(self.key()) for _ in range(2)] == [True, False]

    async def test_attendance_tells_the_pauses_of_an_app(self, ledger: TickLedger) -> None:
        """Entries that fire on every worker are held back by that; other apps' pauses are none of theirs."""
        await self.register(ledger, self.entry("b"), self.entry("a"), self.entry("c"))
        await self.register(ledger, self.entry("theirs"), app="other")
        for name in ("b", "a", "theirs", "unknown"):
            await ledger.pause_cron(self.key(name), note="", by="me")
        assert (await ledger.renew_registration("app", "1", ttl=60)).paused == [self.key("a"), self.key("b")]
        assert (await ledger.renew_registration("other", "1", ttl=60)).paused == [self.key("theirs")]
        await ledger.resume_cron(self.key("a"))
        assert (await ledger.renew_registration("app", "0", ttl=60)).paused == [self.key("b")]

    async def test_a_pause_outlives_a_deploy(self, broker: Broker, ledger: TickLedger) -> None:
        """Until a person resumes the entry: also one that was paused before it was registered, or retired meanwhile."""
        await ledger.pause_cron(self.key(), note="flood", by="me")
        await self.register(ledger, self.entry())
        await self.register(ledger, version="2")
        await self.register(ledger, self.entry(), version="3")
        assert (await ledger.renew_registration("app", "3", ttl=60)).paused == [self.key()]
        assert (await self.bid(ledger, await broker.time() + 0.5)).outcome is PAUSED
