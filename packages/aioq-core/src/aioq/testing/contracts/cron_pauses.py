"""Tests how a ledger pauses and resumes entries."""

from __future__ import annotations

import pytest

from aioq.model.cron import TickOutcome
from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.ledger_suite import LedgerSuite

__all__ = ["CronPauseContract"]

WON, LOST, PAUSED = TickOutcome.WON, TickOutcome.LOST, TickOutcome.PAUSED


class CronPauseContract(LedgerSuite):
    """Pausing and resuming of entries."""

    async def test_claim_tick_paused_entry_records_skip(self, broker: Broker, ledger: TickLedger) -> None:
        """Ticks of a paused entry are recorded as skipped, and cannot be won later."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60)
        assert await ledger.pause_cron(self.key(), note="flood", by="me") is True
        reply = await self.claim_tick(ledger, now - 30, now - 20)
        assert (reply.outcome, reply.won, reply.previous) == (PAUSED, (), now - 60)
        # Not `PAUSED`: the claim before has decided the tick.
        assert (await self.claim_tick(ledger, now - 20, worker="w2")).outcome is LOST
        skipped = [(now - 20, "skipped", "paused"), (now - 30, "skipped", "paused")]
        assert await self.recorded(ledger) == [*skipped, (now - 60, "fired", "")]

    async def test_claim_tick_paused_repeats_answer(self, broker: Broker, ledger: TickLedger) -> None:
        """A repeated claim gets the answer `PAUSED` even if the entry was resumed meanwhile."""
        claim = self.claim_of(await broker.time() + 0.5)
        await ledger.pause_cron(self.key(), note="", by="me")
        assert (await ledger.claim_tick(claim)).outcome is PAUSED
        await ledger.resume_cron(self.key())
        assert (await ledger.claim_tick(claim)).outcome is PAUSED

    async def test_pause_cron_again_replaces_note(self, broker: Broker, ledger: TickLedger) -> None:
        """Pausing a paused entry returns False and stores the new note."""
        await self.register(ledger, self.entry())
        before = await broker.time()
        assert await ledger.pause_cron(self.key(), note="flood", by="me") is True
        assert await ledger.pause_cron(self.key(), note='"fire", é', by="you") is False
        pause = (await self.status(ledger)).pause
        assert pause is not None
        assert (pause.note, pause.by) == ('"fire", é', "you")
        assert pause.at == pytest.approx(before, abs=5)

    async def test_resume_cron_fires_from_next_tick(self, broker: Broker, ledger: TickLedger) -> None:
        """A resumed entry owes no tick of its pause."""
        await self.register(ledger, self.entry())
        armed = (await self.status(ledger)).armed_at
        await ledger.pause_cron(self.key(), note="", by="me")
        await self.pass_time(self.tick)
        between = await broker.time()
        await self.pass_time(self.tick)
        assert await ledger.resume_cron(self.key()) is True
        status = await self.status(ledger)
        assert status.pause is None
        assert status.armed_at >= armed + self.tick * 1.5
        assert (await self.claim_tick(ledger, between)).outcome is LOST
        reply = await self.claim_tick(ledger, await broker.time() + 0.5)
        assert (reply.outcome, reply.previous) == (WON, status.last_tick)

    async def test_resume_cron_unpaused_returns_false(self, ledger: TickLedger) -> None:
        """Resuming an entry that is not paused returns False and changes nothing."""
        await self.register(ledger, self.entry())
        before = await self.status(ledger)
        assert await ledger.resume_cron(self.key()) is False
        assert await ledger.resume_cron(self.key("unknown")) is False
        assert await self.status(ledger) == before
        await ledger.pause_cron(self.key(), note="", by="me")
        assert [await ledger.resume_cron(self.key()) for _ in range(2)] == [True, False]

    async def test_renew_registration_lists_paused_entries(self, ledger: TickLedger) -> None:
        """The answer lists the paused entries of the app, and none of other apps."""
        await self.register(ledger, self.entry("b"), self.entry("a"), self.entry("c"))
        await self.register(ledger, self.entry("theirs"), app="other")
        for name in ("b", "a", "theirs", "unknown"):
            await ledger.pause_cron(self.key(name), note="", by="me")
        assert (await ledger.renew_registration("app", "1", ttl=60)).paused == [self.key("a"), self.key("b")]
        assert (await ledger.renew_registration("other", "1", ttl=60)).paused == [self.key("theirs")]
        await ledger.resume_cron(self.key("a"))
        assert (await ledger.renew_registration("app", "0", ttl=60)).paused == [self.key("b")]

    async def test_pause_survives_registration(self, broker: Broker, ledger: TickLedger) -> None:
        """A pause lasts until it is resumed, even if the entry is registered later or retired meanwhile."""
        await ledger.pause_cron(self.key(), note="flood", by="me")
        await self.register(ledger, self.entry())
        await self.register(ledger, version="2")
        await self.register(ledger, self.entry(), version="3")
        assert (await ledger.renew_registration("app", "3", ttl=60)).paused == [self.key()]
        assert (await self.claim_tick(ledger, await broker.time() + 0.5)).outcome is PAUSED
