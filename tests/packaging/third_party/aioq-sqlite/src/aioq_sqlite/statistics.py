"""Counts jobs by queue, task and outcome."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from aioq.model.statistics import MAX_SERIES, OTHERS, REPEATABLE, Count, Step, merge_counts, oldest_period, placed
from aioq_sqlite.database import Role
from aioq_sqlite.transaction import Transaction

__all__ = ["StatisticsRole"]

SERIES = "SELECT COUNT(*) FROM (SELECT DISTINCT queue, task, outcome FROM counts WHERE queue <> ?)"


class StatisticsRole(Role):
    """Implements `aioq.protocols.Statistics`."""

    async def add_counts(self, counts: Sequence[Count], *, reporter: str, number: int) -> float:
        """Add what a process has counted; see `aioq.protocols.Statistics.add_counts`."""

        def add(transaction: Transaction) -> float:
            transaction.execute("DELETE FROM reports WHERE at < ?", (transaction.now - REPEATABLE,))
            latest = transaction.value("SELECT number FROM reports WHERE reporter = ?", reporter)
            if latest is None or latest < number:
                report = (reporter, number, transaction.now)
                transaction.execute("INSERT OR REPLACE INTO reports VALUES (?, ?, ?)", report)
                _add_all(transaction, counts)
            return transaction.now

        return await self._transact(add)

    async def read_counts(
        self, *, step: Step, start: float, end: float, queue: str | None = None, task: str | None = None
    ) -> list[Count]:
        """Return counts; see `aioq.protocols.Statistics.read_counts`."""

        def read(transaction: Transaction) -> list[Count]:
            first = max(start, oldest_period(step, transaction.now))
            found = transaction.execute(
                "SELECT body FROM counts WHERE step = ? AND start >= ? AND start < ? AND queue = COALESCE(?, queue)"
                " AND task = COALESCE(?, task)",
                (step, first, end, queue, task),
            )
            counts = [msgspec.json.decode(body, type=Count) for (body,) in found]
            return sorted(counts, key=lambda count: (count.series, count.start))

        return await self._database.run(lambda: self._database.read(read))


def _add_all(transaction: Transaction, counts: Sequence[Count]) -> None:
    for step in Step:
        oldest = oldest_period(step, transaction.now)
        transaction.execute("DELETE FROM counts WHERE step = ? AND start < ?", (step, oldest))
    for count in counts:
        own = count if _has_room(transaction, count) else replace(count, queue=OTHERS, task=OTHERS)
        for step in Step:
            if (one := placed(own, step, transaction.now)) is not None:
                _add(transaction, step, one)


def _has_room(transaction: Transaction, count: Count) -> bool:
    known = "SELECT 1 FROM counts WHERE (queue, task, outcome) = (?, ?, ?) LIMIT 1"
    if transaction.value(known, *count.series):
        return True
    return bool(transaction.value(SERIES, OTHERS) < MAX_SERIES)


def _add(transaction: Transaction, step: Step, count: Count) -> None:
    place = (*count.series, step, count.start)
    where = "(queue, task, outcome, step, start) = (?, ?, ?, ?, ?)"
    body = transaction.value(f"SELECT body FROM counts WHERE {where}", *place)
    if body is not None:
        count = merge_counts(msgspec.json.decode(body, type=Count), count)
    row = (*place, msgspec.json.encode(count))
    transaction.execute("INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?, ?, ?)", row)
