"""What a broker on which a fleet agrees about ticks must do."""

from __future__ import annotations

import anyio
import pytest

from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.broker import BrokerSuite
from aioq.ticks import CronDefinition, CronKey, TickClaim, TickOutcome, TickReply

__all__ = ["TickLedgerContract"]

WON, LOST, EARLY = TickOutcome.WON, TickOutcome.LOST, TickOutcome.EARLY


class TickLedgerContract(BrokerSuite):
    """The suite for `aioq.protocols.TickLedger`; subclass it beside `BrokerContract`."""

    @pytest.fixture
    def ledger(self, broker: Broker) -> TickLedger:
        """The broker, as a ledger of ticks."""
        assert isinstance(broker, TickLedger)
        return broker

    @staticmethod
    async def bid(
        ledger: TickLedger, tick: float, *, worker: str = "w1", name: str = "report", fingerprint: str = "* * * * *"
    ) -> TickReply:
        """Bid for a tick."""
        claim = TickClaim(name=name, queue="q", tick=tick, fingerprint=fingerprint, worker_id=worker)
        return await ledger.claim_tick(claim)

    async def test_a_tick_is_won_once(self, broker: Broker, ledger: TickLedger) -> None:
        """Of two bids for one tick the first wins, whoever makes it."""
        now = await broker.time()
        assert (await self.bid(ledger, now - 60)).outcome is WON
        assert (await self.bid(ledger, now - 60, worker="w2")).outcome is LOST
        assert (await self.bid(ledger, now - 60)).outcome is LOST

    async def test_the_mark_never_goes_back(self, broker: Broker, ledger: TickLedger) -> None:
        """A tick before the mark is lost even when nobody fired it."""
        now = await broker.time()
        assert (await self.bid(ledger, now - 60)).outcome is WON
        assert (await self.bid(ledger, now - 120)).outcome is LOST
        assert (await self.bid(ledger, now)).outcome is WON

    async def test_a_tick_of_the_future_is_early_and_leaves_no_mark(self, broker: Broker, ledger: TickLedger) -> None:
        """A worker whose clock is fast can neither fire early nor spoil the ticks to come."""
        now = await broker.time()
        assert (await self.bid(ledger, now + 3600)).outcome is EARLY
        assert (await self.bid(ledger, now)).outcome is WON

    async def test_a_tick_within_a_second_is_not_early(self, broker: Broker, ledger: TickLedger) -> None:
        """Clocks that disagree a little do no harm."""
        assert (await self.bid(ledger, await broker.time() + 0.5)).outcome is WON

    async def test_the_winner_learns_of_the_tick_before(self, broker: Broker, ledger: TickLedger) -> None:
        """`previous` is the mark that was replaced; the first winner has none."""
        now = await broker.time()
        assert (await self.bid(ledger, now - 120)).previous is None
        assert (await self.bid(ledger, now - 60, worker="w2")).previous == pytest.approx(now - 120, abs=0.002)

    async def test_an_edited_schedule_has_no_past_but_fires_no_tick_twice(
        self, broker: Broker, ledger: TickLedger
    ) -> None:
        """Another fingerprint gets no `previous`, and cannot win a tick that was won."""
        now = await broker.time()
        await self.bid(ledger, now - 60)
        assert (await self.bid(ledger, now - 60, fingerprint="*/2 * * * *")).outcome is LOST
        reply = await self.bid(ledger, now, fingerprint="*/2 * * * *")
        assert (reply.outcome, reply.previous) == (WON, None)

    async def test_entries_have_marks_of_their_own(self, broker: Broker, ledger: TickLedger) -> None:
        """Winning a tick of one entry says nothing of another."""
        now = await broker.time()
        assert (await self.bid(ledger, now)).outcome is WON
        assert (await self.bid(ledger, now, name="other")).outcome is WON

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

    async def test_one_entry_can_be_asked_for(self, ledger: TickLedger) -> None:
        """Its status is that of the list; of what nobody registered there is none."""
        cron = CronDefinition(queue="q", name="report", kind="cron", expression="* * * * *", tz="UTC", fingerprint="*")
        await ledger.register_crons("app", "v1", [cron], ttl=30)
        assert [await ledger.cron_status(cron.key)] == await ledger.cron_statuses("app")
        assert await ledger.cron_status(CronKey("q", "other")) is None
