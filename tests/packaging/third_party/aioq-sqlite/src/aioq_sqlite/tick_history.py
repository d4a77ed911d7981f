"""Stores the latest records of each entry, and counts all of them by status."""

from __future__ import annotations

from collections import Counter

import msgspec
from msgspec.structs import replace

from aioq.model.cron import CronKey, TickRecord, TickStatus
from aioq.model.ledger import counts_of, to_milliseconds
from aioq_sqlite.transaction import Transaction

__all__ = ["Totals", "history", "put"]

MAX_RECORDS = 100


class Totals(msgspec.Struct):
    """What is left of the records of an entry that are not stored any more. Ticks are in milliseconds."""

    counts: dict[str, int] = {}
    latest_success: int | None = None
    latest_result: bytes | None = None
    forgotten: int | None = None
    """The latest tick whose record was dropped."""

    def add(self, counts: Counter[str]) -> None:
        """Add to the counts."""
        for part, number in counts.items():
            self.counts[part] = self.counts.get(part, 0) + number


def put(transaction: Transaction, totals: Totals, record: TickRecord) -> None:
    """Store a record of an entry, and count it; it replaces an earlier one of the same tick and worker."""
    tick = to_milliseconds(record.tick)
    worker = "" if record.status in (TickStatus.SKIPPED, TickStatus.MISSED) else record.worker_id
    # A tick that became a job has one record for the fleet.
    key = (record.queue, record.name, tick, "" if record.job_id is not None else worker)
    if record.status is TickStatus.OK and tick >= (totals.latest_success or tick):
        totals.latest_success, totals.latest_result = tick, record.result
    known = transaction.value("SELECT record FROM ticks WHERE (queue, name, tick, owner) = (?, ?, ?, ?)", *key)
    counted = counts_of(record)
    if known is None and totals.forgotten is not None and tick <= totals.forgotten:
        # The record was dropped while the tick was running: it was counted as fired then, its end was not.
        totals.add(Counter({part: counted[part] for part in ("ok", "failed")}))
        return
    if known is not None:
        counted.subtract(counts_of(msgspec.json.decode(known, type=TickRecord)))
    totals.add(counted)
    # The result is stored once for the entry: a hundred of them might take much room.
    stored = msgspec.json.encode(replace(record, tick=tick / 1000, worker_id=worker, result=None))
    transaction.execute("INSERT OR REPLACE INTO ticks VALUES (?, ?, ?, ?, ?)", (*key, stored))
    _drop_oldest(transaction, totals, record)


def history(transaction: Transaction, cron: CronKey, limit: int) -> list[TickRecord]:
    """Return the latest records of an entry, newest tick first."""
    newest = "SELECT record FROM ticks WHERE queue = ? AND name = ? ORDER BY tick DESC, owner DESC LIMIT ?"
    rows = transaction.execute(newest, (cron.queue, cron.name, max(limit, 0)))
    return [msgspec.json.decode(record, type=TickRecord) for (record,) in rows]


def _drop_oldest(transaction: Transaction, totals: Totals, record: TickRecord) -> None:
    oldest = (
        "SELECT tick, owner FROM ticks WHERE queue = ? AND name = ? ORDER BY tick DESC, owner DESC LIMIT 1 OFFSET ?"
    )
    if (dropped := transaction.row(oldest, record.queue, record.name, MAX_RECORDS)) is not None:
        totals.forgotten = max(dropped["tick"], totals.forgotten or 0)
        transaction.execute(
            "DELETE FROM ticks WHERE (queue, name, tick, owner) = (?, ?, ?, ?)", (record.queue, record.name, *dropped)
        )
