"""What a ledger must do when workers bid for ticks."""

from __future__ import annotations

import anyio
import pytest

from aioq.model.cron import TickOutcome
from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.ledger_suite import HOURLY, LedgerSuite

__all__ = ["TickClaimContract"]

WON, LOST, EARLY = TickOutcome.WON, TickOutcome.LOST, TickOutcome.EARLY


class TickClaimContract(LedgerSuite):
    """Marks, and the answers to bids."""

    async def test_a_tick_is_won_once(self, broker: Broker, ledger: TickLedger) -> None:
        """Of two bids for one tick the first wins, whoever makes it."""
        now = await broker.time()
        assert (await self.bid(ledger, now - 60)).outcome is WON
        assert (await self.bid(ledger, now - 60, worker="w2")).outcome is LOST
        assert (await self.bid(ledger, now - 60)).outcome is LOST

    async def test_a_claim_that_is_repeated_is_answered_again(self, broker: Broker, ledger: TickLedger) -> None:
        """Whoever did not hear that it won asks again with the same id, and hears it."""
        now = await broker.time()
        await self.bid(ledger, now - 120)
        claim = self.claim_of(now - 60, now)
        first = await ledger.claim_tick(claim)
        again = await ledger.claim_tick(claim)
        assert (again.outcome, again.won, again.previous) == (first.outcome, first.won, first.previous)
        assert again.won == claim.ticks
        assert len(await self.told(ledger)) == 3

    async def test_a_claim_is_answered_again_after_others_lost(self, broker: Broker, ledger: TickLedger) -> None:
        """Bids that come in between and win nothing do not make the ledger forget."""
        now = await broker.time()
        claim = self.claim_of(now)
        await ledger.claim_tick(claim)
        await self.bid(ledger, now, worker="w2")
        await self.bid(ledger, now + 3600, worker="w2")
        assert (await ledger.claim_tick(claim)).outcome is WON

    async def test_a_claim_that_was_passed_by_is_answered_again(self, broker: Broker, ledger: TickLedger) -> None:
        """Whoever asks again when others have won later ticks hears of its own; they are recorded once."""
        now = await broker.time()
        claim = self.claim_of(now - 60, now - 50)
        await ledger.claim_tick(claim)
        for n in range(10):
            assert (await self.bid(ledger, now - 40 + n, worker="w2")).outcome is WON
        reply = await ledger.claim_tick(claim)
        assert (reply.outcome, reply.won) == (WON, claim.ticks)
        assert (await self.bid(ledger, now - 40)).outcome is LOST
        assert len(await self.told(ledger)) == 12

    async def test_a_claim_that_was_passed_by_when_overlap_cancels_is_lost(
        self, broker: Broker, ledger: TickLedger
    ) -> None:
        """Its run has been replaced before it has begun."""
        now = await broker.time()
        claim = self.claim_of(now - 60, overlap="cancel")
        await ledger.claim_tick(claim)
        await self.bid(ledger, now, worker="w2", overlap="cancel")
        assert (await ledger.claim_tick(claim)).outcome is LOST

    async def test_a_claim_that_was_passed_by_by_one_that_waits_is_answered_again(
        self, broker: Broker, ledger: TickLedger
    ) -> None:
        """The run that the other one waits for can begin at last."""
        now = await broker.time()
        claim, waits = self.claim_of(now - 60), self.claim_of(now, worker="w2", overlap="queue_one")
        await ledger.claim_tick(claim)
        assert (await ledger.claim_tick(waits)).outcome is TickOutcome.QUEUED
        assert (await ledger.claim_tick(claim)).outcome is WON
        assert (await ledger.claim_tick(waits)).outcome is TickOutcome.QUEUED

    async def test_a_claim_that_was_early_wins_when_it_is_repeated_in_time(
        self, broker: Broker, ledger: TickLedger
    ) -> None:
        """The id of a claim that spent nothing is not used up."""
        claim = self.claim_of(await broker.time() + 1.0 + self.tick)
        assert (await ledger.claim_tick(claim)).outcome is EARLY
        await self.pass_time(self.tick * 1.5)
        assert (await ledger.claim_tick(claim)).outcome is WON

    async def test_the_mark_never_goes_back(self, broker: Broker, ledger: TickLedger) -> None:
        """A tick before the mark is lost even when nobody fired it."""
        now = await broker.time()
        assert (await self.bid(ledger, now - 60)).outcome is WON
        assert (await self.bid(ledger, now - 120)).outcome is LOST
        assert (await self.bid(ledger, now)).outcome is WON

    async def test_of_several_ticks_those_after_the_mark_are_won(self, broker: Broker, ledger: TickLedger) -> None:
        """Who makes up for what nobody fired gets what nobody else got, as it said it."""
        now = await broker.time()
        await self.bid(ledger, now - 90)
        reply = await self.bid(ledger, now - 120.0004, now - 90, now - 60.0004, now - 30, worker="w2")
        assert (reply.outcome, reply.won) == (WON, (now - 60.0004, now - 30))
        assert (await self.bid(ledger, now - 60, now - 30)).outcome is LOST

    async def test_a_tick_of_the_future_is_early_and_leaves_no_mark(self, broker: Broker, ledger: TickLedger) -> None:
        """A worker whose clock is fast can neither fire early nor spoil the ticks to come."""
        now = await broker.time()
        assert (await self.bid(ledger, now - 60, now + 3600)).outcome is EARLY
        assert (await self.bid(ledger, now - 60)).outcome is WON

    async def test_a_tick_within_a_second_is_not_early(self, broker: Broker, ledger: TickLedger) -> None:
        """Clocks that disagree a little do no harm."""
        assert (await self.bid(ledger, await broker.time() + 0.5)).outcome is WON

    async def test_the_winner_learns_of_the_tick_before(self, broker: Broker, ledger: TickLedger) -> None:
        """`previous` is the mark that was replaced; the first winner has none."""
        now = await broker.time()
        assert (await self.bid(ledger, now - 120)).previous is None
        assert (await self.bid(ledger, now - 60, worker="w2")).previous == pytest.approx(now - 120, abs=0.002)

    async def test_a_mark_of_whole_milliseconds_is_told_as_it_was_set(self, broker: Broker, ledger: TickLedger) -> None:
        """A tick on a whole second, as those of expressions are, equals the `previous` that tells of it."""
        second = float(round(await broker.time()) - 60)
        await self.bid(ledger, second)
        assert (await self.bid(ledger, second + 0.007)).previous == second
        assert (await self.bid(ledger, second + 1)).previous == second + 0.007

    async def test_ticks_of_one_millisecond_are_the_same(self, broker: Broker, ledger: TickLedger) -> None:
        """Workers that reckon it with other roundings do not fire it twice."""
        second = float(round(await broker.time()) - 60)
        assert (await self.bid(ledger, second + 0.0001)).outcome is WON
        assert (await self.bid(ledger, second + 0.0003, worker="w2")).outcome is LOST

    async def test_an_edited_schedule_has_no_past_but_fires_no_tick_twice(
        self, broker: Broker, ledger: TickLedger
    ) -> None:
        """Another fingerprint gets no `previous`, and cannot win a tick that was won."""
        now = await broker.time()
        await self.bid(ledger, now - 60)
        assert (await self.bid(ledger, now - 60, fingerprint=HOURLY)).outcome is LOST
        reply = await self.bid(ledger, now, fingerprint=HOURLY)
        assert (reply.outcome, reply.previous) == (WON, None)

    async def test_entries_have_marks_of_their_own(self, broker: Broker, ledger: TickLedger) -> None:
        """Winning a tick of one entry says nothing of another, nor of one with its name in another queue."""
        now = await broker.time()
        assert (await self.bid(ledger, now)).outcome is WON
        assert (await self.bid(ledger, now, name="other")).outcome is WON
        assert (await self.bid(ledger, now, queue="r")).outcome is WON

    async def test_the_reply_tells_the_brokers_time(self, broker: Broker, ledger: TickLedger) -> None:
        """`now` is the broker's clock, whatever the outcome."""
        before = await broker.time()
        for tick in (before, before, before + 3600):
            assert before - 0.01 <= (await self.bid(ledger, tick)).now <= await broker.time() + 0.01

    async def test_of_many_bids_at_once_one_wins(self, broker: Broker, ledger: TickLedger) -> None:
        """A fleet that bids for one tick at the same moment fires it once."""
        now = await broker.time()
        outcomes: list[TickOutcome] = []

        async def contend(worker: str) -> None:
            outcomes.append((await self.bid(ledger, now, worker=worker)).outcome)

        async with anyio.create_task_group() as tg:
            for n in range(20):
                tg.start_soon(contend, f"w{n}")
        assert sorted(outcome.value for outcome in outcomes) == ["lost"] * 19 + ["won"]
        assert len(await self.told(ledger)) == 1

    async def test_claims_of_several_entries_are_decided_each_by_itself(
        self, broker: Broker, ledger: TickLedger
    ) -> None:
        """In one step, with the answers in the order of the claims; repeated, they are the same."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60, name="second")
        await self.bid(ledger, now - 60, name="fourth", queue="r")
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
        again = await ledger.claim_ticks(claims)
        assert [(reply.won, reply.previous) for reply in again] == [(reply.won, reply.previous) for reply in replies]
        assert await ledger.claim_ticks([]) == []

    async def test_what_was_won_is_recorded_as_fired(self, broker: Broker, ledger: TickLedger) -> None:
        """Should the winner vanish, the ledger still knows that it had the ticks."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now - 60, now - 1)
        newest, older = await ledger.tick_history(self.key())
        assert (newest.tick, older.tick, newest.status, newest.worker_id) == (now - 1, now - 60, "fired", "w1")
        assert newest.fired_at == pytest.approx(now, abs=5)
        assert newest.late == pytest.approx((newest.fired_at or 0) - now + 1)
        assert (newest.finished_at, newest.job_id) == (None, None)
