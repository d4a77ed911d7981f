"""Storing, claiming and settling jobs: a broker with all that a worker needs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from aioq import BrokerConfigError, JobConflict
from aioq.clock import Clock, SystemClock
from aioq.model.job import (
    Claim,
    ClaimRequest,
    Completed,
    Dead,
    Expired,
    Failed,
    Failure,
    HandedBack,
    Lease,
    NewJob,
    Reaped,
    Released,
    Retried,
    Settled,
    Settlement,
)
from aioq.model.outage import forgives, reapable
from aioq.model.states import JobState, Verb, after
from aioq.options import latest_start
from aioq_file import signs
from aioq_file.database import Database
from aioq_file.deduplication import UnacknowledgedJobs

__all__ = ["ORDER", "STARTED", "MinimalFileBroker"]

T = TypeVar("T")

DAY = 86_400.0
DEAD_RETENTION = 7 * DAY
"""Seconds for which the record of a dead or expired job is kept."""

ORDER = "priority DESC, run_at, number"
"""The order in which jobs of a queue are claimed. `run_at` of a job at the front is negative: the latest goes first."""

DUE = "queue = ? AND state = 'pending'"
"""The jobs of a queue that may be claimed."""

STARTED: dict[str, Any] = {"expires_at": None, "hand_backs": 0}
"""What a start of the task changes: the job no longer expires, and its hand-backs are counted anew."""


class MinimalFileBroker:
    """Jobs in a SQLite file: an `aioq.protocols.Broker` without optional protocols.

    Args:
        url: `file:///path/to/jobs.db`.
        clock: The clock of the broker; a test may pass its own.

    Raises:
        BrokerConfigError: The URL does not name a file.
    """

    protocol_version = 1

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        self._database = Database(_path(url))
        self._clock: Clock = clock or SystemClock()
        self._unacknowledged = UnacknowledgedJobs(self._clock)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database.path!r})"

    async def connect(self) -> None:
        """Open the file; see `aioq.protocols.Broker.connect`."""
        await self._database.open()

    async def close(self) -> None:
        """Close the file; see `aioq.protocols.Broker.close`."""
        await self._database.close()

    async def time(self) -> float:
        """Return the clock of this host: a file has none of its own."""
        return self._clock.time()

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs, all or none; see `aioq.protocols.Broker.enqueue`."""

        def store(db: sqlite3.Connection, now: float) -> list[bool]:
            return [job not in self._unacknowledged and _admit(db, job, now) for job in jobs]

        is_new: list[bool] = await self._transact(store, then=partial(self._unacknowledged.add, jobs))
        self._unacknowledged.discard(jobs)
        return is_new

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease due jobs to a worker; see `aioq.protocols.Broker.claim`."""
        return await self._transact(lambda db, now: _claim(db, request, now))

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Extend leases, return the lost ones; see `aioq.protocols.Broker.extend`."""
        return await self._transact(lambda db, now: _extend(db, leases, now, seconds))

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Store the outcomes of attempts; see `aioq.protocols.Broker.settle`."""
        return await self._transact(lambda db, now: [_settle(db, settlement, now) for settlement in settlements])

    async def reap(self, queues: Sequence[str], *, lease: float = 30.0, limit: int = 100) -> list[Reaped]:
        """Return jobs whose lease ran out to their queue; see `aioq.protocols.Broker.reap`."""

        def reap(db: sqlite3.Connection, now: float) -> list[Reaped]:
            return [reaped for queue in queues for reaped in _reap_queue(db, queue, now, lease, limit)]

        return await self._transact(reap)

    async def _transact(self, work: Callable[[sqlite3.Connection, float], T], then: Callable[[T], object] = bool) -> T:
        """Make due jobs pending, drop expired records, and then do `work`, in one transaction."""

        def transaction(db: sqlite3.Connection) -> T:
            now = self._clock.time()
            db.execute(
                "UPDATE jobs SET state = 'pending' WHERE state IN ('scheduled', 'retrying') AND run_at <= ?", (now,)
            )
            db.execute("DELETE FROM jobs WHERE forget_at <= ?", (now,))
            db.execute("DELETE FROM claims WHERE made_at <= ?", (now - DAY,))
            return work(db, now)

        return await self._database.transact(transaction, then)


def move(db: sqlite3.Connection, row: sqlite3.Row, verb: Verb, **changes: Any) -> JobState:
    """Take a job to the state that `verb` leads to, change further columns, and return the state."""
    state = after(JobState(row["state"]), verb)
    values = {"state": state, **changes}
    columns = ", ".join(f"{column} = :{column}" for column in values)
    db.execute(f"UPDATE jobs SET {columns} WHERE number = :number", {**values, "number": row["number"]})
    return state


def end(
    db: sqlite3.Connection, row: sqlite3.Row, verb: Verb, now: float, retain_for: float, **changes: Any
) -> JobState:
    """End a job, and keep its record for `retain_for` seconds."""
    state = move(db, row, verb, finished_at=now, forget_at=now + retain_for, **changes)
    db.execute("DELETE FROM jobs WHERE forget_at <= ?", (now,))
    return state


def _admit(db: sqlite3.Connection, job: NewJob, now: float) -> bool:
    known = db.execute("SELECT task, payload FROM jobs WHERE queue = ? AND id = ?", job.key).fetchone()
    if known and tuple(known) != (job.task, job.payload):
        raise JobConflict(job.id, job.queue)
    if known:
        return False
    due = max(now, now + job.delay if job.run_at is None else job.run_at)
    state = JobState.SCHEDULED if due > now else JobState.PENDING
    limits = {"expires": job.expires, "expires_at": job.expires_at}
    expires_at = latest_start(now, delay=job.delay, run_at=job.run_at, **limits)
    db.execute("INSERT OR IGNORE INTO queues VALUES (?)", (job.queue,))
    db.execute(
        "INSERT INTO jobs (id, queue, task, payload, priority, max_crashes, headers, enqueued_at, state, run_at,"
        " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job.id, job.queue, job.task, job.payload, job.priority, job.max_crashes,
            json.dumps(dict(job.headers)) if job.headers else None, now, state, due, expires_at,
        ),
    )  # fmt: skip
    return True


def _claim(db: sqlite3.Connection, request: ClaimRequest, now: float) -> Claim:
    mine = (request.worker_id, request.request_id)
    if not db.execute("SELECT 1 FROM claims WHERE worker_id = ? AND request_id = ?", mine).fetchone():
        _take(db, request, now)
        db.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", (*mine, now))
    held = "SELECT * FROM jobs WHERE queue = ? AND state = 'running' AND worker_id = ? AND request_id = ?"
    rows = [row for queue in request.queues for row in db.execute(f"{held} ORDER BY {ORDER}", (queue, *mine))]
    return Claim(leases=[_lease(row) for row in rows], next_due=_next_due(db, request.queues, now))


def _take(db: sqlite3.Connection, request: ClaimRequest, now: float) -> None:
    """Lease up to `limit` due jobs."""
    left = request.limit
    for queue in request.queues:
        left -= _lease_first(db, request, now, f"{DUE} ORDER BY {ORDER}", (queue,), limit=left)


def _lease_first(
    db: sqlite3.Connection, request: ClaimRequest, now: float, which: str, values: tuple[object, ...], *, limit: int
) -> int:
    """Lease the first `limit` of some jobs to a worker under this request; return their number."""
    marked = db.execute(
        "UPDATE jobs SET state = 'running', epoch = epoch + 1, attempt = attempt + 1,"
        " worker_id = ?, request_id = ?, started_at = ?, deadline = ?"
        f" WHERE number IN (SELECT number FROM jobs WHERE {which} LIMIT ?)",
        (request.worker_id, request.request_id, now, now + request.lease, *values, limit),
    )
    return marked.rowcount


def _lease(row: sqlite3.Row) -> Lease:
    due = abs(row["run_at"])
    return Lease(
        job_id=row["id"],
        queue=row["queue"],
        epoch=row["epoch"],
        worker_id=row["worker_id"],
        task=row["task"],
        payload=row["payload"],
        attempt=row["attempt"],
        crashes=row["crashes"],
        priority=row["priority"],
        enqueued_at=row["enqueued_at"],
        expires_at=row["expires_at"],
        max_crashes=row["max_crashes"],
        hand_backs=row["hand_backs"],
        wait=max(0.0, row["started_at"] - max(due, row["enqueued_at"])),
        headers=json.loads(row["headers"]) if row["headers"] else None,
    )


def _next_due(db: sqlite3.Connection, queues: Sequence[str], now: float) -> float | None:
    earliest = "SELECT MIN(run_at) FROM jobs WHERE queue = ? AND state IN ('scheduled', 'retrying')"
    due = [db.execute(earliest, (queue,)).fetchone()[0] for queue in queues]
    return min((moment - now for moment in due if moment is not None), default=None)


def _extend(db: sqlite3.Connection, leases: Sequence[Lease], now: float, seconds: float) -> list[Lease]:
    """Extend leases, and return the lost ones."""
    lost: list[Lease] = []
    for lease in leases:
        row = _held(db, lease)
        signs.note(db, lease.queue, now, seconds, claimed=[row["started_at"]] if row else ())
        if row:
            db.execute("UPDATE jobs SET deadline = ? WHERE number = ?", (now + seconds, row["number"]))
        else:
            lost.append(lease)
    return lost


def _held(db: sqlite3.Connection, lease: Lease) -> sqlite3.Row | None:
    """Return the job of a lease if it runs under this lease."""
    row = _known(db, lease)
    return row if row and row["state"] == JobState.RUNNING else None


def _known(db: sqlite3.Connection, lease: Lease) -> sqlite3.Row | None:
    """Return the job of a lease unless it was claimed again; a later job with the same id does not count."""
    same = "SELECT * FROM jobs WHERE queue = ? AND id = ? AND epoch = ? AND enqueued_at = ? AND worker_id = ?"
    mine = (lease.queue, lease.job_id, lease.epoch, lease.enqueued_at, lease.worker_id)
    row: sqlite3.Row | None = db.execute(same, mine).fetchone()
    return row


def _settle(db: sqlite3.Connection, settlement: Settlement, now: float) -> Settled:
    lease = settlement.lease
    if (row := _held(db, lease)) is None:
        return Settled.ALREADY if _known(db, lease) else Settled.STALE
    match settlement:
        case Completed(result=result, retain_for=seconds):
            end(db, row, Verb.COMPLETE, now, seconds, result=result)
        case Failed(failure=failure, retain_for=seconds):
            end(db, row, Verb.FAIL, now, seconds, failure=_text(failure))
        case Dead(reason=reason, failure=failure):
            end(db, row, Verb.MARK_DEAD, now, DEAD_RETENTION, reason=reason, failure=_text(failure))
        case Expired(failure=failure):
            end(db, row, Verb.EXPIRE, now, DEAD_RETENTION, failure=_text(failure))
        case Retried() | Released() | HandedBack():
            _put_back(db, row, settlement, now)
    return Settled.DONE


def _put_back(
    db: sqlite3.Connection, row: sqlite3.Row, settlement: Retried | Released | HandedBack, now: float
) -> None:
    attempt = row["attempt"] - 1  # what is released or handed back does not count
    match settlement:
        case Retried(delay=delay, failure=failure):
            move(db, row, Verb.RETRY, run_at=now + delay, failure=_text(failure) or row["failure"], **STARTED)
        case Released(delay=delay, started=started):
            verb, run_at = (Verb.POSTPONE, now + delay) if delay > 0 else (Verb.RELEASE, -now)
            move(db, row, verb, run_at=run_at, attempt=attempt, **(STARTED if started else {}))
        case HandedBack(delay=delay, failure=failure):
            changes = {"failure": _text(failure) or row["failure"], "hand_backs": row["hand_backs"] + 1}
            move(db, row, Verb.POSTPONE, run_at=now + delay, attempt=attempt, **changes)


def _text(failure: Failure | None) -> str | None:
    return json.dumps([failure.type, failure.message, failure.traceback, failure.place]) if failure else None


def _reap_queue(db: sqlite3.Connection, queue: str, now: float, lease: float, limit: int) -> list[Reaped]:
    known = signs.note(db, queue, now, lease)
    expired = "SELECT * FROM jobs WHERE queue = ? AND state = 'running' AND deadline <= ? LIMIT ?"
    rows = db.execute(expired, (queue, reapable(known, now), limit)).fetchall()
    return [_reap(db, row, now, crashed=not forgives(known, row["deadline"])) for row in rows]


def _reap(db: sqlite3.Connection, row: sqlite3.Row, now: float, *, crashed: bool) -> Reaped:
    crashes, attempt = (row["crashes"] + 1, row["attempt"]) if crashed else (row["crashes"], row["attempt"] - 1)
    if crashed and crashes >= row["max_crashes"]:
        state = end(db, row, Verb.MARK_DEAD, now, DEAD_RETENTION, crashes=crashes, reason="crashed", **STARTED)
    else:
        state = move(db, row, Verb.REAP, crashes=crashes, attempt=attempt, run_at=-now, **STARTED)
    return Reaped(
        job_id=row["id"], queue=row["queue"], task=row["task"], worker_id=row["worker_id"], crashed=crashed,
        crashes=crashes, state=state,
    )  # fmt: skip


def _path(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc or parts.path in ("", "/"):
        # Without the URL, which may have a password: the worker logs errors.
        raise BrokerConfigError("a file is named by an absolute path, as in file:///var/lib/app/jobs.db")
    return url2pathname(parts.path)
