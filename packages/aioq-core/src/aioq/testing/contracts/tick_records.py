"""What a ledger must do with the records of what became of ticks."""

from __future__ import annotations

from aioq.model.cron import CronCounts, TickReason, TickStatus
from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.ledger_suite import LedgerSuite

__all__ = ["TickRecordContract"]

FIRED, OK, FAILED = TickStatus.FIRED, TickStatus.OK, TickStatus.FAILED
SKIPPED, MISSED = TickStatus.SKIPPED, TickStatus.MISSED


class TickRecordContract(LedgerSuite):
    """The ring of an entry, its counts, and its latest success."""

    async def counts(self, ledger: TickLedger) -> CronCounts:
        """Return the counts of the entry."""
        return (await self.status(ledger)).counts

    async def test_records_are_told_as_they_were_written(self, ledger: TickLedger) -> None:
        """Newest tick first, whatever the order in which they came; but for the result, kept as the entry's latest."""
        first = self.tick_record(60.0, SKIPPED, reason=TickReason.TOO_LATE, count=3)
        second = self.tick_record(
            120.5, FAILED, worker_id="w1", fired_at=121.0, finished_at=121.25, error='ValueError: "é"'
        )
        third = self.tick_record(180.0, MISSED, reason=TickReason.NO_WORKER)
        fourth = self.tick_record(
            240.0, worker_id="w2", fired_at=240.001, finished_at=241.0, job_id="cron:report:240000"
        )
        await ledger.record_ticks([third, first])
        await ledger.record_ticks([fourth, second])
        assert await ledger.tick_history(self.key()) == [fourth, third, second, first]
        assert await ledger.tick_history(self.key(), limit=2) == [fourth, third]
        assert await ledger.tick_history(self.key(), limit=0) == []

    async def test_what_was_never_recorded_has_no_history(self, ledger: TickLedger) -> None:
        """Nor has an entry that nobody knows."""
        await ledger.record_ticks([])
        assert await ledger.tick_history(self.key()) == []

    async def test_the_latest_hundred_are_kept(self, ledger: TickLedger) -> None:
        """All are counted."""
        await ledger.record_ticks([self.tick_record(60.0 * n, worker_id="w1") for n in range(150)])
        assert [record.tick for record in await ledger.tick_history(self.key(), limit=1000)] == [
            60.0 * n for n in range(149, 49, -1)
        ]
        assert (await self.counts(ledger)).ok == 150

    async def test_entries_have_records_of_their_own(self, ledger: TickLedger) -> None:
        """One call may write down ticks of many entries and queues."""
        ours, theirs = self.tick_record(60.0, worker_id="w1"), self.tick_record(60.0, queue="r", worker_id="w1")
        other = self.tick_record(60.0, name="other", worker_id="w1")
        await ledger.record_ticks([ours, theirs, other])
        assert await ledger.tick_history(self.key()) == [ours]
        assert await ledger.tick_history(self.key("other")) == [other]

    async def test_a_tick_that_is_recorded_again_is_counted_once(self, ledger: TickLedger) -> None:
        """What fired and then ended has fired once."""
        for status in (FIRED, FIRED, OK, OK):
            await ledger.record_ticks([self.tick_record(60.0, status, worker_id="w1", fired_at=60.0)])
        await ledger.record_ticks(
            [self.tick_record(120.0, FIRED, worker_id="w1"), self.tick_record(120.0, FAILED, worker_id="w1")]
        )
        assert await self.counts(ledger) == CronCounts(fired=2, ok=1, failed=1)
        assert [tick for tick, _, _ in await self.told(ledger)] == [120.0, 60.0]

    async def test_each_worker_has_its_own_record_of_a_tick(self, ledger: TickLedger) -> None:
        """An entry that fires on every worker ends on each of them in its own way."""
        records = [self.tick_record(60.0, OK, worker_id="w1"), self.tick_record(60.0, FAILED, worker_id="w2")]
        await ledger.record_ticks(records)
        assert await ledger.tick_history(self.key()) == records[::-1]
        assert await self.counts(ledger) == CronCounts(fired=2, ok=1, failed=1)

    async def test_workers_that_miss_a_tick_together_miss_it_once(self, ledger: TickLedger) -> None:
        """Skipped and missed ticks have no worker, whoever tells of them."""
        for worker in ("w1", "w2"):
            await ledger.record_ticks([self.tick_record(60.0, MISSED, reason=TickReason.BROKER_AWAY, worker_id=worker)])
        assert await ledger.tick_history(self.key()) == [self.tick_record(60.0, MISSED, reason=TickReason.BROKER_AWAY)]
        assert (await self.counts(ledger)).missed == 1

    async def test_every_kind_is_counted_apart(self, ledger: TickLedger) -> None:
        """A record of several ticks counts for as many."""
        await ledger.record_ticks(
            [
                self.tick_record(60.0, FIRED, worker_id="w1"),
                self.tick_record(120.0, OK, worker_id="w1"),
                self.tick_record(180.0, FAILED, worker_id="w1"),
                self.tick_record(240.0, SKIPPED, reason=TickReason.COALESCED, count=5),
                self.tick_record(300.0, SKIPPED, reason=TickReason.OVERLAP, count=2),
                self.tick_record(360.0, MISSED, reason=TickReason.NO_WORKER, count=7),
            ]
        )
        expected = CronCounts(fired=3, ok=1, failed=1, skipped=2, missed=7, coalesced=5)
        assert await self.counts(ledger) == expected
        await ledger.record_ticks([self.tick_record(240.0, SKIPPED, reason=TickReason.COALESCED, count=4)])
        assert (await self.counts(ledger)).coalesced == 4

    async def test_of_a_tick_that_is_kept_no_more_the_end_counts(self, ledger: TickLedger) -> None:
        """It fired, and was counted then; a late word of it does not bring it back."""
        await ledger.record_ticks([self.tick_record(60.0 * n, FIRED, worker_id="w1") for n in range(110)])
        late = [self.tick_record(60.0 * n, status, worker_id="w1") for n, status in enumerate((OK, FAILED, FIRED))]
        await ledger.record_ticks(late)
        assert await self.counts(ledger) == CronCounts(fired=110, ok=1, failed=1)
        assert len(await self.told(ledger)) == 100

    async def test_the_status_tells_the_latest_tick(self, ledger: TickLedger) -> None:
        """The latest by its moment, not the latest that was written down."""
        latest = self.tick_record(120.0, FAILED, worker_id="w1", finished_at=121.0, error="ValueError: no")
        await ledger.record_ticks([latest, self.tick_record(60.0, worker_id="w1")])
        assert (await self.status(ledger)).last == latest

    async def test_the_status_tells_the_latest_success(self, ledger: TickLedger) -> None:
        """With its result, until a later success has another, or none."""
        await ledger.record_ticks([self.tick_record(120.0, worker_id="w1", job_id="j", result=b'{"n": 1}')])
        await ledger.record_ticks(
            [self.tick_record(60.0, worker_id="w1", result=b"old"), self.tick_record(180.0, FAILED)]
        )
        status = await self.status(ledger)
        assert (status.last_success, status.last_result) == (120.0, b'{"n": 1}')
        await ledger.record_ticks([self.tick_record(240.0, worker_id="w1")])
        status = await self.status(ledger)
        assert (status.last_success, status.last_result) == (240.0, None)

    async def test_any_bytes_may_be_a_result(self, ledger: TickLedger) -> None:
        """A codec's bytes come back as they were, also none of them, and those that look like a separator."""
        for n, result in enumerate((b"", b"\n\x00\xff -", b"null")):
            await ledger.record_ticks([self.tick_record(60.0 * n, worker_id="w1", result=result)])
            assert (await self.status(ledger)).last_result == result

    async def test_records_may_be_written_at_any_time(self, broker: Broker, ledger: TickLedger) -> None:
        """Also before the entry is registered, and after it was retired."""
        await ledger.record_ticks([self.tick_record(60.0, worker_id="w1")])
        await self.register(ledger, self.entry())
        await self.register(ledger, version="2")
        await ledger.record_ticks([self.tick_record(120.0, worker_id="w1")])
        assert await self.counts(ledger) == CronCounts(fired=2, ok=2)
