"""Reads and writes the rows of jobs: their transitions, their places in a queue, and how they are shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from aioq.model.attempts import add_attempt
from aioq.model.failures import FAILURE_STATES, MAX_FAILURES, Cause, describe_failure
from aioq.model.job import Attempt, AttemptOutcome, Failure, JobRecord, Lease
from aioq.model.states import JobState, Verb, after
from aioq.model.suspects import CrashHistory
from aioq_sqlite.transaction import Transaction

__all__ = [
    "CANCELLED_RETENTION",
    "CLEARED",
    "DEAD_RETENTION",
    "READY_ORDER",
    "STARTED",
    "attempts_with",
    "end",
    "failure_text",
    "find",
    "history_of",
    "lease_of",
    "line_up",
    "move",
    "record_of",
    "result_name",
    "unsettled",
    "update",
]

CANCELLED_RETENTION = 86_400.0
DEAD_RETENTION = 7 * 86_400.0
"""Seconds for which the record of a dead or expired job is kept."""

READY_ORDER = "priority DESC, place, turn"
"""The order in which jobs of a queue are claimed that have not crashed."""

STARTED: dict[str, Any] = {"expires_at": None, "hand_backs": 0}
"""What a start of the task changes: the job no longer expires, and its hand-backs are counted anew."""

LEASE_FIELDS = [name for name in Lease.__struct_fields__ if name not in ("job_id", "wait", "headers", "latest_success")]
"""The fields of a lease that are columns of the same names."""

CLEARED: dict[str, Any] = {"crashes": 0, "probation": 0.0, "crashed_since": 0.0, "ran": 0.0}
"""The columns of a job that has not crashed."""


def find(transaction: Transaction, queue: str, job_id: str) -> sqlite3.Row | None:
    """Return the row of a job."""
    return transaction.row("SELECT * FROM jobs WHERE queue = ? AND id = ?", queue, job_id)


def update(transaction: Transaction, row: sqlite3.Row, **changes: Any) -> None:
    """Change columns of a job."""
    columns = ", ".join(f"{column} = ?" for column in changes)
    transaction.execute(f"UPDATE jobs SET {columns} WHERE number = ?", (*changes.values(), row["number"]))


def move(transaction: Transaction, row: sqlite3.Row, verb: Verb, **changes: Any) -> JobState:
    """Take a job to the state that `verb` leads to, and change further columns; return the state."""
    state = after(JobState(row["state"]), verb)
    update(transaction, row, state=state, **changes)
    return state


def line_up(transaction: Transaction, row: sqlite3.Row, verb: Verb, *, delay: float = 0.0, **changes: Any) -> JobState:
    """Put a job back into its queue, due after `delay` seconds, and wake workers."""
    run_at, turn, front = transaction.now + delay, transaction.turn(), verb in (Verb.RELEASE, Verb.REAP)
    place, turn = (0.0, -turn) if front else (run_at, turn)
    transaction.signal("work", row["queue"])
    return move(transaction, row, verb, run_at=run_at, place=place, turn=turn, **changes)


def end(transaction: Transaction, row: sqlite3.Row, verb: Verb, retain_for: float, **changes: Any) -> JobState:
    """End a job, keep its record for `retain_for` seconds, and wake clients that wait for it."""
    now = transaction.now
    if row["awaited"]:
        transaction.signal("result", result_name(row["queue"], row["id"]))
    if (state := after(JobState(row["state"]), verb)) in FAILURE_STATES:
        ended = {"state": state, "finished_at": now, "forget_at": now + retain_for, "awaited": 0}
        _list_failure(transaction, dict(row) | changes | ended)
    if retain_for > 0:
        return move(transaction, row, verb, finished_at=now, forget_at=now + retain_for, awaited=0, **changes)
    transaction.execute("DELETE FROM jobs WHERE number = ?", (row["number"],))
    return state


def _list_failure(transaction: Transaction, job: dict[str, Any]) -> None:
    queue = job["queue"]
    causes = transaction.execute("SELECT DISTINCT task, type, place FROM failures WHERE queue = ?", (queue,))
    failure = describe_failure(record_of(job), [Cause(*cause) for cause in causes])
    cause = failure.cause
    transaction.execute(
        "REPLACE INTO failures (queue, id, task, type, place, failed_at, failure, job) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            queue, failure.failure_id, cause.task, cause.type, cause.place, failure.failed_at,
            msgspec.json.encode(failure), msgspec.msgpack.encode(job),
        ),
    )  # fmt: skip
    oldest = "SELECT number FROM failures WHERE queue = ? ORDER BY number DESC LIMIT 1 OFFSET ?"
    if number := transaction.value(oldest, queue, MAX_FAILURES):
        transaction.execute("DELETE FROM failures WHERE queue = ? AND number <= ?", (queue, number))


def result_name(queue: str, job_id: str) -> str:
    """Return the name of the signal of a job's end. Names of queues contain no slash."""
    return f"{queue}/{job_id}"


def lease_of(row: sqlite3.Row) -> Lease:
    """Return the lease of a job that runs."""
    wait = max(0.0, row["started_at"] - max(row["run_at"], row["enqueued_at"]))
    fields = {field: row[field] for field in LEASE_FIELDS}
    return Lease(job_id=row["id"], wait=wait, headers=_headers_of(row), **fields)


def history_of(row: sqlite3.Row) -> CrashHistory:
    """Return the crashes of a job."""
    return CrashHistory(row["crashes"], row["probation"], row["crashed_since"])


def record_of(row: sqlite3.Row | Mapping[str, Any]) -> JobRecord:
    """Return the public record of a job."""
    fields = {field: row[field] for field in JobRecord.__struct_fields__}
    fields["state"] = state = JobState(row["state"])
    fields["failure"] = msgspec.json.decode(row["failure"], type=Failure) if row["failure"] else None
    fields["headers"] = _headers_of(row)
    fields["attempts"] = msgspec.json.decode(row["attempts"], type=tuple[Attempt, ...])
    waits = state in (JobState.PENDING, JobState.SCHEDULED, JobState.RETRYING)
    fields["run_at"] = max(row["run_at"], row["enqueued_at"]) if waits else None
    return JobRecord(**fields)


def _headers_of(row: sqlite3.Row | Mapping[str, Any]) -> dict[str, str] | None:
    return msgspec.json.decode(row["headers"], type=dict[str, str]) if row["headers"] else None


def attempts_with(row: sqlite3.Row, attempt: Attempt | None) -> bytes:
    """Return the attempts of a job as they are stored, with one more."""
    return msgspec.json.encode(add_attempt(msgspec.json.decode(row["attempts"], type=tuple[Attempt, ...]), attempt))


def unsettled(row: sqlite3.Row, outcome: AttemptOutcome, until: float) -> bytes:
    """Return the attempts of a job, with one that no worker settled."""
    started_at, duration = row["started_at"], max(until - row["started_at"], 0.0)
    attempt = Attempt(
        number=row["attempt"], worker_id=row["worker_id"], started_at=started_at, duration=duration, outcome=outcome
    )
    return attempts_with(row, attempt)


def failure_text(failure: Failure | None) -> bytes | None:
    """Return a failure as it is stored."""
    return msgspec.json.encode(failure) if failure else None
