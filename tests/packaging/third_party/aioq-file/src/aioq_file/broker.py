"""A broker that also lists, cancels and retries jobs."""

from __future__ import annotations

import json
import sqlite3
from itertools import starmap

from aioq.model.job import Failure, JobRecord, QueueStats
from aioq.model.states import FINAL_STATES, JobState, Verb
from aioq_file.jobs import DAY, ORDER, STARTED, MinimalFileBroker, end, move

__all__ = ["FileBroker"]

WAITING = (JobState.PENDING, JobState.SCHEDULED, JobState.RETRYING)


class FileBroker(MinimalFileBroker):
    """Jobs in a SQLite file: a `Broker` and a `JobStore`."""

    async def get_job(self, job_id: str, *, queue: str) -> JobRecord | None:
        """Return the record of a job; see `aioq.protocols.JobStore.get_job`."""
        row = await self._transact(lambda db, _: _find(db, queue, job_id))
        return _record(row) if row else None

    async def list_jobs(self, queue: str, state: JobState, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return jobs of one state; see `aioq.protocols.JobStore.list_jobs`."""
        order = ORDER if state is JobState.PENDING else "run_at, number"
        return await self._list(queue, state, order, limit, offset)

    async def list_dead_jobs(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return dead jobs, newest first; see `aioq.protocols.JobStore.list_dead_jobs`."""
        return await self._list(queue, JobState.DEAD, "finished_at DESC", limit, offset)

    async def queue_stats(self) -> list[QueueStats]:
        """Return the counts of every queue; see `aioq.protocols.JobStore.queue_stats`."""
        counts = (
            "SELECT name, COALESCE(SUM(state = 'pending'), 0), COALESCE(SUM(state IN ('scheduled', 'retrying')), 0),"
            " COALESCE(SUM(state = 'running'), 0), COALESCE(SUM(state = 'dead'), 0),"
            " COALESCE(SUM(state = 'expired'), 0)"
            " FROM queues LEFT JOIN jobs ON queue = name GROUP BY name ORDER BY name"
        )
        rows = await self._transact(lambda db, _: db.execute(counts).fetchall())
        return list(starmap(_stats, rows))

    async def cancel_job(self, job_id: str, *, queue: str) -> bool:
        """Cancel a job; see `aioq.protocols.JobStore.cancel_job`."""
        return await self._transact(lambda db, now: _cancel(db, _find(db, queue, job_id), now))

    async def retry_job(self, job_id: str, *, queue: str) -> bool:
        """Return an ended job to its queue; see `aioq.protocols.JobStore.retry_job`."""
        return await self._transact(lambda db, now: _replay(db, _find(db, queue, job_id), now))

    async def _list(self, queue: str, state: JobState, order: str, limit: int, offset: int) -> list[JobRecord]:
        query = f"SELECT * FROM jobs WHERE queue = ? AND state = ? ORDER BY {order} LIMIT ? OFFSET ?"
        rows = await self._transact(lambda db, _: db.execute(query, (queue, state, limit, offset)).fetchall())
        return [_record(row) for row in rows]


def _find(db: sqlite3.Connection, queue: str, job_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute("SELECT * FROM jobs WHERE queue = ? AND id = ?", (queue, job_id)).fetchone()
    return row


def _cancel(db: sqlite3.Connection, row: sqlite3.Row | None, now: float) -> bool:
    if row is None or row["state"] in FINAL_STATES:
        return False
    end(db, row, Verb.CANCEL, now, DAY)
    return True


def _replay(db: sqlite3.Connection, row: sqlite3.Row | None, now: float) -> bool:
    if row is not None and row["state"] == JobState.RETRYING:
        move(db, row, Verb.REPLAY, run_at=now)
        return True
    if row is None or row["state"] not in FINAL_STATES - {JobState.COMPLETED}:
        return False
    fresh = {**dict.fromkeys(("finished_at", "forget_at", "reason")), **STARTED}
    move(db, row, Verb.REPLAY, attempt=0, crashes=0, run_at=now, **fresh)
    return True


def _stats(queue: str, pending: int, scheduled: int, running: int, dead: int, expired: int) -> QueueStats:
    return QueueStats(queue=queue, pending=pending, scheduled=scheduled, running=running, dead=dead, expired=expired)


def _record(row: sqlite3.Row) -> JobRecord:
    state = JobState(row["state"])
    return JobRecord(
        id=row["id"],
        queue=row["queue"],
        task=row["task"],
        state=state,
        payload=row["payload"],
        priority=row["priority"],
        attempt=row["attempt"],
        crashes=row["crashes"],
        enqueued_at=row["enqueued_at"],
        run_at=max(abs(row["run_at"]), row["enqueued_at"]) if state in WAITING else None,
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        worker_id=row["worker_id"],
        result=row["result"],
        failure=Failure(*json.loads(row["failure"])) if row["failure"] else None,
        reason=row["reason"],
        hand_backs=row["hand_backs"],
        headers=json.loads(row["headers"]) if row["headers"] else None,
    )
