"""Looks up jobs, cancels and replays them."""

from __future__ import annotations

from typing import Any

import msgspec

from aioq.model.failures import failure_id_of
from aioq.model.job import AttemptOutcome, CancelledRun, JobRecord, QueueStats
from aioq.model.states import FINAL_STATES, JobState, Verb
from aioq_sqlite.database import Role
from aioq_sqlite.jobs import (
    CANCELLED_RETENTION,
    CLEARED,
    READY_ORDER,
    STARTED,
    end,
    find,
    line_up,
    record_of,
    unsettled,
)
from aioq_sqlite.transaction import Transaction

__all__ = ["JobStoreRole", "replay"]

# Suspects, then observed jobs in the order in which they are claimed, then others.
PENDING_ORDER = (
    "MIN(crashes, 2) DESC, CASE crashes WHEN 0 THEN 0 WHEN 1 THEN run_at + ran ELSE -started_at END,"
    f" CASE crashes WHEN 0 THEN '' ELSE id END, {READY_ORDER}"
)

COUNTS = (
    "SELECT name AS queue, COUNT(*) FILTER (WHERE state = 'pending') AS pending,"
    " COUNT(*) FILTER (WHERE state IN ('scheduled', 'retrying')) AS scheduled,"
    " COUNT(*) FILTER (WHERE state = 'running') AS running, COUNT(*) FILTER (WHERE state = 'dead') AS dead,"
    " COUNT(*) FILTER (WHERE state = 'expired') AS expired,"
    " (SELECT COUNT(*) FROM failures WHERE failures.queue = name) AS failures"
    " FROM queues LEFT JOIN jobs ON queue = name WHERE held_jobs GROUP BY name ORDER BY name"
)


class JobStoreRole(Role):
    """Implements `aioq.protocols.JobStore`."""

    async def get_job(self, job_id: str, *, queue: str) -> JobRecord | None:
        """Return the record of a job; see `aioq.protocols.JobStore.get_job`."""
        row = await self._transact(lambda transaction: find(transaction, queue, job_id))
        return record_of(row) if row else None

    async def list_jobs(self, queue: str, state: JobState, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return jobs of one state; see `aioq.protocols.JobStore.list_jobs`."""
        order = PENDING_ORDER if state is JobState.PENDING else "run_at, number"
        return await self._list(queue, state, order, limit, offset)

    async def list_dead_jobs(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return dead jobs, newest first; see `aioq.protocols.JobStore.list_dead_jobs`."""
        return await self._list(queue, JobState.DEAD, "finished_at DESC, number DESC", limit, offset)

    async def queue_stats(self) -> list[QueueStats]:
        """Return the counts of every queue; see `aioq.protocols.JobStore.queue_stats`."""
        rows = await self._transact(lambda transaction: transaction.execute(COUNTS).fetchall())
        return [QueueStats(**row) for row in rows]

    async def cancel_job(self, job_id: str, *, queue: str) -> bool:
        """Cancel a job; see `aioq.protocols.JobStore.cancel_job`."""
        return await self._transact(lambda transaction: _cancel(transaction, queue, job_id))

    async def retry_job(self, job_id: str, *, queue: str) -> bool:
        """Return an ended job to its queue; see `aioq.protocols.JobStore.retry_job`."""
        return await self._transact(lambda transaction: replay(transaction, queue, job_id))

    async def _list(self, queue: str, state: JobState, order: str, limit: int, offset: int) -> list[JobRecord]:
        query = f"SELECT * FROM jobs WHERE queue = ? AND state = ? ORDER BY {order} LIMIT ? OFFSET ?"
        rows = await self._transact(
            lambda transaction: transaction.execute(query, (queue, state, limit, offset)).fetchall()
        )
        return [record_of(row) for row in rows]


def _cancel(transaction: Transaction, queue: str, job_id: str) -> bool:
    row = find(transaction, queue, job_id)
    if row is None or row["state"] in FINAL_STATES:
        return False
    running = row["state"] == JobState.RUNNING
    told = unsettled(row, AttemptOutcome.CANCELLED, transaction.now) if running else row["attempts"]
    end(transaction, row, Verb.CANCEL, CANCELLED_RETENTION, attempts=told)
    if running:
        run = CancelledRun(job_id=job_id, queue=queue, epoch=row["epoch"], enqueued_at=row["enqueued_at"])
        transaction.signal("cancelled", row["worker_id"], msgspec.json.encode(run))
    return True


def replay(transaction: Transaction, queue: str, job_id: str) -> bool:
    """Let a job run again, and take its failure off the list; False if it cannot."""
    row = find(transaction, queue, job_id)
    if row is not None and row["state"] == JobState.RETRYING:
        line_up(transaction, row, Verb.REPLAY)
        return True
    if row is None or row["state"] not in FINAL_STATES - {JobState.COMPLETED}:
        return False
    fresh: dict[str, Any] = {**dict.fromkeys(("finished_at", "forget_at", "reason")), **CLEARED, **STARTED}
    line_up(transaction, row, Verb.REPLAY, attempt=0, **fresh)
    failure_id = failure_id_of(job_id, row["enqueued_at"])
    transaction.execute("DELETE FROM failures WHERE queue = ? AND id = ?", (queue, failure_id))
    return True
