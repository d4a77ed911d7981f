"""What is told of a job: its stored parts put together into a `JobRecord`."""

from __future__ import annotations

import contextlib
import re
from typing import Final

import msgspec

from aioq.job import Failure, JobRecord
from aioq.states import JobState
from aioq_redis.records import Head, Record, Run, Unreadable, read_record, read_run

__all__ = ["ended_job", "live_job"]

_ENDS: Final = {
    b"c": JobState.COMPLETED,
    b"f": JobState.FAILED,
    b"x": JobState.CANCELLED,
    b"d": JobState.DEAD,
    b"e": JobState.EXPIRED,
}

_ENDED: Final = re.compile(rb"([cfxde]) \d (\d{1,15}) (-?\d{1,12}) ([^\n]*)\n([^\n]*)\n(.*)", re.DOTALL)

_read_failure = msgspec.json.Decoder(Failure).decode


def live_job(job_id: str, queue: str, parts: list[bytes]) -> JobRecord:
    """Return a job that has not ended: record, run line, score among the due, latest failure."""
    raw, line, score, failure = parts
    run = read_run(line)
    return _job(job_id, queue, _live_state(run, score), _readable(raw), run, failure, run_at=_moment(score))


def ended_job(job_id: str, queue: str, text: bytes) -> JobRecord:
    """Return a job that has ended; see `lua/shared/ended.lua` for how it is stored.

    What some other program has put in its place is told of as a dead job of no task.
    """
    found = _ENDED.fullmatch(text)
    if found is None:
        foreign = _job(job_id, queue, JobState.DEAD, _readable(text), read_run(b""), b"")
        return msgspec.structs.replace(foreign, reason="malformed")
    code, finished, length, note, line, rest = found.groups()
    size = int(length)
    body = rest[: max(size, 0)]
    state = _ENDS[code]
    record = _job(
        job_id,
        queue,
        state,
        _readable(rest[max(size, 0) :]),
        read_run(line),
        b"" if state is JobState.COMPLETED else body,
        finished_at=int(finished) / 1000,
    )
    if state is JobState.COMPLETED:
        return msgspec.structs.replace(record, result=body if size >= 0 else None)
    return msgspec.structs.replace(
        record, reason=note.decode("utf-8", "backslashreplace") if state is JobState.DEAD else None
    )


def _job(
    job_id: str,
    queue: str,
    state: JobState,
    record: Record,
    run: Run,
    failure: bytes,
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
        attempt=run.attempt,
        crashes=run.crashes,
        enqueued_at=record.enqueued / 1000,
        run_at=run_at,
        started_at=run.claimed / 1000 if run.claimed else None,
        finished_at=finished_at,
        # A job that was put back by hand has a note in this place, and nobody who ran it.
        worker_id=run.worker or None if run.claimed else None,
        failure=_failure(failure),
    )


def _live_state(run: Run, score: bytes) -> JobState:
    if run.state == "r":
        return JobState.RUNNING
    if not score:
        return JobState.PENDING
    return JobState.RETRYING if run.state == "y" else JobState.SCHEDULED


def _moment(score: bytes) -> float | None:
    return int(float(score)) / 1000 if score else None


def _readable(raw: bytes) -> Record:
    """Return a record, or in place of a damaged one whatever is there as its payload."""
    try:
        return read_record(raw)
    except Unreadable:
        return Record(Head("", 5, 3), 0, raw)


def _failure(text: bytes) -> Failure | None:
    with contextlib.suppress(msgspec.DecodeError):
        return _read_failure(text) if text else None
    return None
