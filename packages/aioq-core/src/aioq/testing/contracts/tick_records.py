"""Tests how a ledger records ticks."""

from __future__ import annotations

from aioq.model.cron import CronCounts, TickReason, TickStatus
from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.ledger_suite import LedgerSuite

__all__ = ["TickRecordContract"]

FIRED, OK, FAILED = TickStatus.FIRED, TickStatus.OK, TickStatus.FAILED
SKIPPED, MISSED = TickStatus.SKIPPED, TickStatus.MISSED


class TickRecordContract(LedgerSuite):
    """The history of an entry, its counts, and its latest success."""

    async def counts(self, ledger: TickLedger) -> CronCounts:
        """Return the counts of the entry."""
        return (await self.status(ledger)).counts

    async def test_tick_history_newest_first(self, ledger: TickLedger) -> None:
        """Records are returned as they were written, newest tick first, without their results."""
        first = self.tick_record(60.0, SKIPPED, reason=TickReason.TOO_LATE, count=3)
        second = self.tick_record(
            120.5, FAILED, worker_id="w1", fired_at=121.0, finished_at=121.25, error='ValueError: "é"'
        )
        third = self.tick_record(180.0, MISSED, reason=TickReason.NO_WORKER)
        fourth = self.tick_record(
            240.0, worker_id="w2", fired_at=240.001, finished_at=241.0, job_id="cron:report:240000"
        )
        # Out of order, as several workers record them.
        await ledger.record_ticks([third, first])
        await ledger.record_ticks([fourth, second])
        assert await ledger.tick_history(self.key()) == [fourth, third, second, first]
        assert await ledger.tick_history(self.key(), limit=2) == [fourth, third]
        assert await ledger.tick_history(self.key(), limit=0) == []

    async def test_tick_history_without_records_is_empty(self, ledger: TickLedger) -> None:
        """An entry without records, or an unknown one, has no history."""
        await ledger.record_ticks([])
        assert await ledger.tick_history(self.key()) == []

    async def test_tick_history_keeps_100_records(self, ledger: TickLedger) -> None:
        """The latest 100 records are stored, and all are counted."""
        await ledger.record_ticks([self.tick_record(60.0 * n, worker_id="w1") for n in range(150)])
        assert [record.tick for record in await ledger.tick_history(self.key(), limit=1000)] == [
            60.0 * n for n in range(149, 49, -1)
        ]
        assert (await self.counts(ledger)).ok == 150

    async def test_record_ticks_of_several_entries(self, ledger: TickLedger) -> None:
        """One call may record ticks of several entries and queues."""
        ours, theirs = self.tick_record(60.0, worker_id="w1"), self.tick_record(60.0, queue="r", worker_id="w1")
        other = self.tick_record(60.0, name="other", worker_id="w1")
        await ledger.record_ticks([ours, theirs, other])
        assert await ledger.tick_history(self.key()) == [ours]
        assert await ledger.tick_history(self.key("other")) == [other]

    async def test_record_ticks_again_counts_once(self, ledger: TickLedger) -> None:
        """A tick that is recorded as fired and then as ended counts once as fired."""
        for status in (FIRED, FIRED, OK, OK):
            await ledger.record_ticks([self.tick_record(60.0, status, worker_id="w1", fired_at=60.0)])
        await ledger.record_ticks(
            [self.tick_record(120.0, FIRED, worker_id="w1"), self.tick_record(120.0, FAILED, worker_id="w1")]
        )
        assert await self.counts(ledger) == CronCounts(fired=2, ok=1, failed=1)
        assert [tick for tick, _, _ in await self.recorded(ledger)] == [120.0, 60.0]

    async def test_record_ticks_per_worker(self, ledger: TickLedger) -> None:
        """An entry that fires on every worker has one record per worker."""
        records = [self.tick_record(60.0, OK, worker_id="w1"), self.tick_record(60.0, FAILED, worker_id="w2")]
        await ledger.record_ticks(records)
        assert await ledger.tick_history(self.key()) == records[::-1]
        assert await self.counts(ledger) == CronCounts(fired=2, ok=1, failed=1)

    async def test_record_ticks_skipped_or_missed_once(self, ledger: TickLedger) -> None:
        """A skipped or missed tick has one record without a worker, however many workers report it."""
        for worker in ("w1", "w2"):
            await ledger.record_ticks([self.tick_record(60.0, MISSED, reason=TickReason.BROKER_AWAY, worker_id=worker)])
        assert await ledger.tick_history(self.key()) == [self.tick_record(60.0, MISSED, reason=TickReason.BROKER_AWAY)]
        assert (await self.counts(ledger)).missed == 1

    async def test_record_ticks_counts_by_status(self, ledger: TickLedger) -> None:
        """Each status has its own count, and a record of several ticks counts as many."""
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

    async def test_record_ticks_dropped_tick_counts_its_end(self, ledger: TickLedger) -> None:
        """The end of a tick whose record was dropped is counted, and not stored."""
        await ledger.record_ticks([self.tick_record(60.0 * n, FIRED, worker_id="w1") for n in range(110)])
        # The oldest three of 110: their records were dropped.
        late = [self.tick_record(60.0 * n, status, worker_id="w1") for n, status in enumerate((OK, FAILED, FIRED))]
        await ledger.record_ticks(late)
        assert await self.counts(ledger) == CronCounts(fired=110, ok=1, failed=1)
        assert len(await self.recorded(ledger)) == 100

    async def test_cron_status_last_is_latest_tick(self, ledger: TickLedger) -> None:
        """`last` is the latest tick by its moment, not by the order of recording."""
        latest = self.tick_record(120.0, FAILED, worker_id="w1", finished_at=121.0, error="ValueError: no")
        await ledger.record_ticks([latest, self.tick_record(60.0, worker_id="w1")])
        assert (await self.status(ledger)).last == latest

    async def test_cron_status_last_success_with_result(self, ledger: TickLedger) -> None:
        """`last_success` and `last_result` belong to the latest tick that ended `ok`."""
        await ledger.record_ticks([self.tick_record(120.0, worker_id="w1", job_id="j", result=b'{"n": 1}')])
        await ledger.record_ticks(
            [self.tick_record(60.0, worker_id="w1", result=b"old"), self.tick_record(180.0, FAILED)]
        )
        status = await self.status(ledger)
        assert (status.last_success, status.last_result) == (120.0, b'{"n": 1}')
        await ledger.record_ticks([self.tick_record(240.0, worker_id="w1")])
        status = await self.status(ledger)
        assert (status.last_success, status.last_result) == (240.0, None)

    async def test_record_ticks_result_is_any_bytes(self, ledger: TickLedger) -> None:
        """Results of any bytes are returned unchanged, also empty ones and separators."""
        for n, result in enumerate((b"", b"\n\x00\xff -", b"null")):
            await ledger.record_ticks([self.tick_record(60.0 * n, worker_id="w1", result=result)])
            assert (await self.status(ledger)).last_result == result

    async def test_record_ticks_unregistered_and_retired_entries(self, broker: Broker, ledger: TickLedger) -> None:
        """Ticks can be recorded before an entry is registered and after it was retired."""
        await ledger.record_ticks([self.tick_record(60.0, worker_id="w1")])
        await self.register(ledger, self.entry())
        await self.register(ledger, version="2")
        await ledger.record_ticks([self.tick_record(120.0, worker_id="w1")])
        assert await self.counts(ledger) == CronCounts(fired=2, ok=2)
