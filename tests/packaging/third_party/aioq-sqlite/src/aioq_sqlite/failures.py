"""Lists the jobs that need a person, by cause, and replays them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from aioq.model.failures import Cause, FailureGroup, FailureRecord, matches
from aioq.model.job import JobRecord
from aioq_sqlite.database import Role
from aioq_sqlite.jobs import find, record_of
from aioq_sqlite.lookup import replay
from aioq_sqlite.transaction import Transaction

__all__ = ["FailuresRole"]

GROUPS = (
    "SELECT task, type, place, COUNT(*) AS count, MIN(failed_at) AS first, MAX(failed_at) AS last,"
    " MAX(number) AS newest FROM failures WHERE queue = ? GROUP BY task, type, place ORDER BY newest DESC"
)


class FailuresRole(Role):
    """Implements `aioq.protocols.Failures`."""

    async def failure_groups(self, queue: str) -> list[FailureGroup]:
        """Return the groups of a queue; see `aioq.protocols.Failures.failure_groups`."""

        def groups(transaction: Transaction) -> list[FailureGroup]:
            return [_group(transaction, queue, row) for row in transaction.execute(GROUPS, (queue,)).fetchall()]

        return await self._transact(groups)

    async def list_failures(
        self,
        queue: str,
        *,
        cause: Cause | None = None,
        text: str = "",
        after: FailureRecord | None = None,
        limit: int = 100,
    ) -> list[FailureRecord]:
        """Return failures, the newest first; see `aioq.protocols.Failures.list_failures`."""

        def page(transaction: Transaction) -> list[FailureRecord]:
            known = after and transaction.value(
                "SELECT number FROM failures WHERE queue = ? AND id = ?", queue, after.failure_id
            )
            query, values = "SELECT failure FROM failures WHERE queue = ?", [queue]
            if cause is not None:
                query, values = f"{query} AND task = ? AND type = ? AND place = ?", [*values, *_words(cause)]
            if after is not None:
                query += " AND number < ?" if known else " AND failed_at <= ?"
            bounds = [known or after.failed_at] if after else []
            found: list[FailureRecord] = []
            for (blob,) in transaction.execute(f"{query} ORDER BY number DESC", (*values, *bounds)):
                record = msgspec.json.decode(blob, type=FailureRecord)
                if len(found) < limit and (not text or matches(record, text)):
                    found.append(record)
                if len(found) >= limit:
                    break
            return found

        return await self._transact(page)

    async def get_failure(self, failure_id: str, *, queue: str) -> JobRecord | None:
        """Return the job of a failure; see `aioq.protocols.Failures.get_failure`."""
        row = await self._transact(lambda transaction: _job(transaction, queue, failure_id))
        return record_of(row) if row else None

    async def replay_failures(self, failure_ids: Sequence[str], *, queue: str) -> list[bool]:
        """Put jobs back into the queue; see `aioq.protocols.Failures.replay_failures`."""
        return await self._transact(
            lambda transaction: [_replay(transaction, queue, failure_id) for failure_id in failure_ids]
        )

    async def dismiss_failures(self, failure_ids: Sequence[str], *, queue: str) -> int:
        """Remove failures from the list; see `aioq.protocols.Failures.dismiss_failures`."""
        remove = "DELETE FROM failures WHERE queue = ? AND id = ?"
        return await self._transact(
            lambda transaction: transaction.executemany(remove, [(queue, one) for one in failure_ids]).rowcount
        )


def _words(cause: Cause) -> tuple[str, str, str]:
    return cause.task, cause.type, cause.place


def _group(transaction: Transaction, queue: str, row: sqlite3.Row) -> FailureGroup:
    blob = transaction.value("SELECT failure FROM failures WHERE number = ?", row["newest"])
    return FailureGroup(
        queue=queue,
        cause=Cause(row["task"], row["type"], row["place"]),
        count=row["count"],
        first=row["first"],
        last=row["last"],
        sample=msgspec.json.decode(blob, type=FailureRecord),
    )


def _job(transaction: Transaction, queue: str, failure_id: str) -> dict[str, object] | None:
    blob = transaction.value("SELECT job FROM failures WHERE queue = ? AND id = ?", queue, failure_id)
    return msgspec.msgpack.decode(blob, type=dict[str, object]) if blob else None


def _replay(transaction: Transaction, queue: str, failure_id: str) -> bool:
    job = _job(transaction, queue, failure_id)
    if job is None:
        return False
    stored = find(transaction, queue, str(job["id"]))
    if stored is None:
        del job["number"]
        columns, places = ", ".join(job), ", ".join("?" * len(job))
        transaction.execute(f"INSERT INTO jobs ({columns}) VALUES ({places})", tuple(job.values()))
    elif stored["enqueued_at"] != job["enqueued_at"]:
        return False
    return replay(transaction, queue, str(job["id"]))
