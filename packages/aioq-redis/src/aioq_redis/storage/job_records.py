"""Builds a `JobRecord` from the stored parts of a job."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from aioq.model.attempts import without_traceback
from aioq.model.job import MAX_ATTEMPTS, Attempt, AttemptOutcome, Failure, JobRecord
from aioq.model.states import JobState, Verb
from aioq_redis.storage.attempt_format import read_attempts, read_failure, split_attempts
from aioq_redis.storage.job_format import NEVER_CLAIMED, Head, JobHistory, Record, Unreadable, read_history, read_record
from aioq_redis.storage.job_states import ENDED_STATES, RUN_LETTERS

__all__ = ["MAX_SCORE", "dropped_job", "ended_job", "live_job"]

MAX_SCORE: Final = 253_402_300_800_000
"""Milliseconds until the year 10000: no job is due then."""

_ENDED: Final = re.compile(
    b"([%b])" % b"".join(ENDED_STATES) + rb" (\d) (\d{1,15}) (-?\d{1,12})(?:\+(\d{1,6}))? ([^\n]*)\n([^\n]*)\n(.*)",
    re.DOTALL,
)


def live_job(job_id: str, queue: str, parts: list[bytes]) -> JobRecord:
    """Return a job that has not ended; `parts` are its record, history, score in `due` and attempts."""
    raw, line, score, told = parts
    history = read_history(line)
    state = _live_state(history, score)
    lines, failure = split_attempts(told)
    record = _readable(raw)
    run_at = (history.due or record.due()) / 1000 if state is JobState.PENDING else _moment(score)
    job = _job(job_id, queue, state, record, history, read_failure(failure), run_at=run_at)
    return msgspec.structs.replace(job, attempts=read_attempts(lines)) if lines else job


def ended_job(job_id: str, queue: str, text: bytes) -> JobRecord:
    """Return a job that has ended; see `lua/lib/ended.lua` for the format.

    A value that another program has stored is shown as a dead job without a task.
    """
    found = _ENDED.fullmatch(text)
    if found is None:
        foreign = _job(job_id, queue, JobState.DEAD, _readable(text), NEVER_CLAIMED, None)
        return msgspec.structs.replace(foreign, reason="malformed")
    code, settled, finished, length, more, note, line, rest = found.groups()
    size, state = int(length), ENDED_STATES[code]
    begin, end = max(size, 0), max(size, 0) + int(more or 0)
    body, attempts = rest[:begin], read_attempts(rest[begin:end])
    failure = None if state is JobState.COMPLETED else read_failure(body)
    record = _job(
        job_id, queue, state, _readable(rest[end:]), read_history(line), failure, finished_at=int(finished) / 1000
    )
    if settled == b"1":
        attempts = (*attempts, *_last_attempt(record))[-MAX_ATTEMPTS:]
    return msgspec.structs.replace(
        record,
        attempts=attempts,
        result=body if state is JobState.COMPLETED and size >= 0 else None,
        reason=note.decode("utf-8", "backslashreplace") if state is JobState.DEAD else None,
    )


def dropped_job(job_id: str, queue: str) -> JobRecord:
    """Return a job that completed while the server was full: no more is known of it."""
    known = _job(job_id, queue, JobState.COMPLETED, Record(Head("", 5, 3), 0, b""), NEVER_CLAIMED, None)
    return msgspec.structs.replace(known, reason="full")


def _job(
    job_id: str,
    queue: str,
    state: JobState,
    record: Record,
    history: JobHistory,
    failure: Failure | None,
    *,
    run_at: float | None = None,
    finished_at: float | None = None,
) -> JobRecord:
    return JobRecord(
        id=job_id,
        queue=queue,
        task=record.head.task,
        state=state,
        payload=record.payload,
        priority=record.head.priority,
        attempt=history.attempt,
        crashes=history.crashes,
        enqueued_at=record.enqueued / 1000,
        run_at=run_at,
        started_at=history.claimed / 1000 if history.claimed else None,
        finished_at=finished_at,
        # `retry_job` puts the id of its request in front of the worker. Of a job that had ended it stores no time of a
        # claim.
        worker_id=history.worker.rpartition(" ")[2] or None if history.claimed else None,
        failure=failure,
        hand_backs=history.hand_backs,
        headers=record.head.headers,
    )


def _last_attempt(record: JobRecord) -> list[Attempt]:
    """Return the attempt that ended a job, if its worker ended it: the record has all of it."""
    if record.started_at is None or record.finished_at is None:
        return []
    failure = record.failure
    return [
        Attempt(
            number=record.attempt,
            worker_id=record.worker_id or "",
            started_at=record.started_at,
            duration=max(round(record.finished_at - record.started_at, 3), 0.0),
            outcome=AttemptOutcome(record.state),
            failure=failure and without_traceback(failure),
        )
    ]


def _live_state(history: JobHistory, score: bytes) -> JobState:
    if history.state == RUN_LETTERS[Verb.CLAIM]:
        return JobState.RUNNING
    if not score:
        return JobState.PENDING
    return JobState.RETRYING if history.state == RUN_LETTERS[Verb.RETRY] else JobState.SCHEDULED


def _moment(score: bytes) -> float | None:
    """Return the moment of a score; None without one, and if it is damaged."""
    milliseconds = float(score) if score else -1.0
    return int(milliseconds) / 1000 if 0 <= milliseconds < MAX_SCORE else None


def _readable(raw: bytes) -> Record:
    """Read a record. For an unreadable one return a record without a task that has the raw text as its payload."""
    try:
        return read_record(raw)
    except Unreadable:
        return Record(Head("", 5, 3), 0, raw)
