"""Tests `TickLedger.claim_tick` without overlap and jobs."""

from __future__ import annotations

import anyio
import pytest

from aioq.model.cron import TickOutcome
from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.ledger_suite import HOURLY, LedgerSuite

__all__ = ["TickClaimContract"]

WON, LOST, EARLY = TickOutcome.WON, TickOutcome.LOST, TickOutcome.EARLY


class TickClaimContract(LedgerSuite):
    """The last tick of an entry, and the answers to claims."""

    async def test_claim_tick_is_won_once(self, broker: Broker, ledger: TickLedger) -> None:
        """Of two claims of one tick the first wins, whichever worker makes it."""
        now = await broker.time()
        assert (await self.claim_tick(ledger, now - 60)).outcome is WON
        assert (await self.claim_tick(ledger, now - 60, worker="w2")).outcome is LOST
        assert (await self.claim_tick(ledger, now - 60)).outcome is LOST

    async def test_claim_tick_repeated_gets_same_answer(self, broker: Broker, ledger: TickLedger) -> None:
        """A repeated request id gets the answer of the first claim."""
        now = await broker.time()
        await self.claim_tick(ledger, now - 120)
        claim = self.claim_of(now - 60, now)
        first = await ledger.claim_tick(claim)
        again = await ledger.claim_tick(claim)
        assert (again.outcome, again.won, again.previous) == (first.outcome, first.won, first.previous)
        assert again.won == claim.ticks
        assert len(await self.recorded(ledger)) == 3

    async def test_claim_tick_repeated_later_gets_same_answer(self, broker: Broker, ledger: TickLedger) -> None:
        """The answer to a request is remembered for longer than an outage may take to pass."""
        claim = self.claim_of(await self.whole_now(broker))
        first = await ledger.claim_tick(claim)
        await self.pass_long(60)
        again = await ledger.claim_tick(claim)
        assert (again.outcome, again.won) == (first.outcome, first.won) == (TickOutcome.WON, claim.ticks)

    async def test_claim_tick_repeated_after_lost_claims(self, broker: Broker, ledger: TickLedger) -> None:
        """Claims that lose in between do not change the answer to a repeated one."""
        now = await broker.time()
        claim = self.claim_of(now)
        await ledger.claim_tick(claim)
        await self.claim_tick(ledger, now, worker="w2")
        await self.claim_tick(ledger, now + 3600, worker="w2")
        assert (await ledger.claim_tick(claim)).outcome is WON

    async def test_claim_tick_repeated_after_later_tick_was_won(self, broker: Broker, ledger: TickLedger) -> None:
        """A repeated claim gets its answer although later ticks were won; its ticks are recorded once."""
        now = await broker.time()
        claim = self.claim_of(now - 60, now - 50)
        await ledger.claim_tick(claim)
        for n in range(10):
            assert (await self.claim_tick(ledger, now - 40 + n, worker="w2")).outcome is WON
        reply = await ledger.claim_tick(claim)
        assert (reply.outcome, reply.won) == (WON, claim.ticks)
        assert (await self.claim_tick(ledger, now - 40)).outcome is LOST
        assert len(await self.recorded(ledger)) == 12

    async def test_claim_tick_repeated_with_cancel_is_lost(self, broker: Broker, ledger: TickLedger) -> None:
        """With `overlap="cancel"` a repeated claim is lost once a later tick was won."""
        now = await broker.time()
        claim = self.claim_of(now - 60, overlap="cancel")
        await ledger.claim_tick(claim)
        await self.claim_tick(ledger, now, worker="w2", overlap="cancel")
        assert (await ledger.claim_tick(claim)).outcome is LOST

    async def test_claim_tick_repeated_after_queued_claim(self, broker: Broker, ledger: TickLedger) -> None:
        """A repeated claim gets its answer although a later claim is waiting."""
        now = await broker.time()
        claim, waits = self.claim_of(now - 60), self.claim_of(now, worker="w2", overlap="queue_one")
        await ledger.claim_tick(claim)
        assert (await ledger.claim_tick(waits)).outcome is TickOutcome.QUEUED
        assert (await ledger.claim_tick(claim)).outcome is WON
        assert (await ledger.claim_tick(waits)).outcome is TickOutcome.QUEUED

    async def test_claim_tick_early_wins_when_repeated_in_time(self, broker: Broker, ledger: TickLedger) -> None:
        """A claim that was early wins if it is repeated when the tick has come."""
        claim = self.claim_of(await broker.time() + 1.0 + self.tick)
        assert (await ledger.claim_tick(claim)).outcome is EARLY
        await self.pass_time(self.tick * 1.5)
        assert (await ledger.claim_tick(claim)).outcome is WON

    async def test_claim_tick_before_last_tick_is_lost(self, broker: Broker, ledger: TickLedger) -> None:
        """A tick before the last tick is lost even if it was never fired."""
        now = await broker.time()
        assert (await self.claim_tick(ledger, now - 60)).outcome is WON
        assert (await self.claim_tick(ledger, now - 120)).outcome is LOST
        assert (await self.claim_tick(ledger, now)).outcome is WON

    async def test_claim_tick_several_wins_those_after_last_tick(self, broker: Broker, ledger: TickLedger) -> None:
        """A claim of several ticks wins those after the last tick, unchanged."""
        now = await broker.time()
        await self.claim_tick(ledger, now - 90)
        # Ticks are compared in whole milliseconds, and have to come back as they were sent.
        reply = await self.claim_tick(ledger, now - 120.0004, now - 90, now - 60.0004, now - 30, worker="w2")
        assert (reply.outcome, reply.won) == (WON, (now - 60.0004, now - 30))
        assert (await self.claim_tick(ledger, now - 60, now - 30)).outcome is LOST

    async def test_claim_tick_in_future_is_early(self, broker: Broker, ledger: TickLedger) -> None:
        """A worker whose clock is fast can neither fire early nor move the last tick."""
        now = await broker.time()
        assert (await self.claim_tick(ledger, now - 60, now + 3600)).outcome is EARLY
        assert (await self.claim_tick(ledger, now - 60)).outcome is WON

    async def test_claim_tick_within_a_second_is_not_early(self, broker: Broker, ledger: TickLedger) -> None:
        """A tick less than a second ahead of the broker's clock can be won."""
        assert (await self.claim_tick(ledger, await broker.time() + 0.5)).outcome is WON

    async def test_claim_tick_won_returns_previous_tick(self, broker: Broker, ledger: TickLedger) -> None:
        """`previous` is the replaced last tick; the first winner has none."""
        now = await broker.time()
        assert (await self.claim_tick(ledger, now - 120)).previous is None
        assert (await self.claim_tick(ledger, now - 60, worker="w2")).previous == pytest.approx(now - 120, abs=0.002)

    async def test_claim_tick_previous_is_exact_to_milliseconds(self, broker: Broker, ledger: TickLedger) -> None:
        """`previous` of a tick in whole milliseconds equals the tick that was claimed."""
        second = float(round(await broker.time()) - 60)
        await self.claim_tick(ledger, second)
        assert (await self.claim_tick(ledger, second + 0.007)).previous == second
        assert (await self.claim_tick(ledger, second + 1)).previous == second + 0.007

    async def test_claim_tick_same_millisecond_is_same_tick(self, broker: Broker, ledger: TickLedger) -> None:
        """Ticks that differ by rounding within a millisecond are won once."""
        second = float(round(await broker.time()) - 60)
        assert (await self.claim_tick(ledger, second + 0.0001)).outcome is WON
        assert (await self.claim_tick(ledger, second + 0.0003, worker="w2")).outcome is LOST

    async def test_claim_tick_new_fingerprint_has_no_previous(self, broker: Broker, ledger: TickLedger) -> None:
        """Under a new fingerprint `previous` is None, and no tick is won twice."""
        now = await broker.time()
        await self.claim_tick(ledger, now - 60)
        assert (await self.claim_tick(ledger, now - 60, fingerprint=HOURLY)).outcome is LOST
        reply = await self.claim_tick(ledger, now, fingerprint=HOURLY)
        assert (reply.outcome, reply.previous) == (WON, None)

    async def test_claim_tick_entries_are_independent(self, broker: Broker, ledger: TickLedger) -> None:
        """A won tick does not affect other entries, nor one with the same name in another queue."""
        now = await broker.time()
        assert (await self.claim_tick(ledger, now)).outcome is WON
        assert (await self.claim_tick(ledger, now, name="other")).outcome is WON
        assert (await self.claim_tick(ledger, now, queue="r")).outcome is WON

    async def test_claim_tick_reply_has_broker_time(self, broker: Broker, ledger: TickLedger) -> None:
        """`now` is the broker's clock in every outcome."""
        before = await broker.time()
        for tick in (before, before, before + 3600):
            assert before - 0.01 <= (await self.claim_tick(ledger, tick)).now <= await broker.time() + 0.01

    async def test_claim_tick_concurrent_claims_one_wins(self, broker: Broker, ledger: TickLedger) -> None:
        """Of many concurrent claims of one tick exactly one wins."""
        now = await broker.time()
        outcomes: list[TickOutcome] = []

        async def contend(worker: str) -> None:
            outcomes.append((await self.claim_tick(ledger, now, worker=worker)).outcome)

        async with anyio.create_task_group() as tg:
            for n in range(20):
                tg.start_soon(contend, f"w{n}")
        assert sorted(outcome.value for outcome in outcomes) == ["lost"] * 19 + ["won"]
        assert len(await self.recorded(ledger)) == 1

    async def test_claim_tick_processes_take_turns(self, broker: Broker, peer: Broker, ledger: TickLedger) -> None:
        """Each process sees at once what the other has decided, registered, paused and recorded."""
        assert isinstance(peer, TickLedger)
        now = await self.whole_now(broker)
        ledgers = (ledger, peer)
        for n in range(4):
            one, other = ledgers[n % 2], ledgers[1 - n % 2]
            assert (await self.claim_tick(one, now - 60 + n)).outcome is WON
            assert (await self.claim_tick(other, now - 60 + n, worker="w2")).outcome is LOST
            assert len(await other.tick_history(self.key())) == n + 1
        await peer.pause_cron(self.key(), note="", by="me")
        assert (await self.claim_tick(ledger, now - 50)).outcome is TickOutcome.PAUSED
        await ledger.resume_cron(self.key())
        await self.register(ledger, self.entry(fingerprint=HOURLY))
        assert (await self.claim_tick(peer, now + 0.5)).outcome is TickOutcome.SUPERSEDED

    async def test_claim_ticks_decides_each_claim(self, broker: Broker, ledger: TickLedger) -> None:
        """`claim_ticks` decides each claim independently, and answers in order."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60, name="second")
        await self.claim_tick(ledger, now - 60, name="fourth", queue="r")
        claims = [
            self.claim_of(now - 60, now - 30, name="first"),
            self.claim_of(now - 90, now - 30, name="second"),
            self.claim_of(now + 3600, name="third"),
            self.claim_of(now - 60, name="fourth", queue="r"),
            self.claim_of(now, name="fourth"),
        ]
        replies = await ledger.claim_ticks(claims)
        assert [reply.outcome for reply in replies] == [WON, WON, EARLY, LOST, WON]
        assert [reply.won for reply in replies] == [(now - 60, now - 30), (now - 30,), (), (), (now,)]
        assert [reply.previous for reply in replies] == [None, now - 60, None, None, None]
        # As after a lost answer.
        again = await ledger.claim_ticks(claims)
        assert [(reply.won, reply.previous) for reply in again] == [(reply.won, reply.previous) for reply in replies]
        assert await ledger.claim_ticks([]) == []

    async def test_claim_tick_won_is_recorded_as_fired(self, broker: Broker, ledger: TickLedger) -> None:
        """The ledger has a record of a tick that was won even if the winner vanishes."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now - 60, now - 1)
        newest, older = await ledger.tick_history(self.key())
        assert (newest.tick, older.tick, newest.status, newest.worker_id) == (now - 1, now - 60, "fired", "w1")
        assert newest.fired_at == pytest.approx(now, abs=5)
        assert newest.late == pytest.approx((newest.fired_at or 0) - now + 1)
        assert (newest.finished_at, newest.job_id) == (None, None)
