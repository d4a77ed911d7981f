"""Jobs as they are stored: one string each, readable by scripts without parsing JSON.

    <enqueued ms> <task> <header as JSON, or nothing> line feed <payload>

The header leaves out what has its default. A later version of aioq may say more in it;
one that older workers must not run says so in `v`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta, Struct

from aioq.model.ids import check_name
from aioq.model.job import Failure, JobRecord, Lease, NewJob
from aioq.model.states import JobState, Verb
from aioq.options import latest_start
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.storage.job_states import ENDED_STATES, RUN_LETTERS

__all__ = [
    "Head",
    "Record",
    "Run",
    "Unreadable",
    "check_id",
    "encode_jobs",
    "encode_record",
    "ended_job",
    "live_job",
    "plan_of",
    "read_id",
    "read_lease",
    "read_record",
    "read_run",
]

VERSION: Final = 1

LONGEST_HEAD: Final = 1_048_576
"""Bytes of what stands before the payload that are looked at: a task's name and a header have less by far."""

LONGEST_CACHED: Final = 512
"""Bytes of a head that is read once for all jobs that have it."""

_ID: Final = re.compile(r"[!-~]{1,200}")
"""What scripts, log lines and channel names can bear. Clients of aioq choose among fewer characters."""


_RUN: Final = re.compile(rb"([a-z])\d (\d{1,15}) \d+ (\d{1,9}) (\d{1,9}) (\d{1,15}) (.*)", re.DOTALL)


class Unreadable(ValueError):
    """What is stored is no job, or none for this version.

    Attributes:
        version: Of the record, when it is one of a later version of aioq; else 0.
        priority: What can be made of it.
        reason: Why its job is dead.
    """

    def __init__(self, text: str, version: int = 0, priority: int = 5, reason: str = "malformed") -> None:
        self.reason = "unknown_version" if version else reason
        self.version, self.priority = version, min(max(priority, 0), 9)
        super().__init__(text)


NEVER: Final = (-1, 0, -1, -1)
"""Of a job that does not expire."""


Expiry: TypeAlias = tuple[int, int, int, int]
"""`x`, `d`, `r` and `u` of a header."""


class Core(Struct, frozen=True):
    """The part of a header that every version must leave as it is: version and priority."""

    v: int = VERSION
    p: int = 5


class Header(Struct, omit_defaults=True, frozen=True):
    """What is said of a job beside its task: version, priority, most crashes.

    Of one that expires also `u`, the moment; or `x`, and what it was put off by: `d`, or until: `r`.
    Milliseconds; -1 for none.
    """

    v: int = VERSION
    p: Annotated[int, Meta(ge=0, le=9)] = 5
    c: Annotated[int, Meta(ge=1, le=1000)] = 3
    x: Annotated[int, Meta(ge=-1, le=10**15)] = -1
    d: Annotated[int, Meta(ge=0, le=10**15)] = 0
    r: Annotated[int, Meta(ge=-1, le=10**15)] = -1
    u: Annotated[int, Meta(ge=-1, le=10**15)] = -1


class Head(NamedTuple):
    """The part of a record that many jobs share."""

    task: str
    priority: int
    max_crashes: int
    expiry: Expiry = NEVER


class Record(NamedTuple):
    """A stored job."""

    head: Head
    enqueued: int
    """Milliseconds."""
    payload: bytes

    def expires_at(self) -> float | None:
        """Return the moment after which the job is not started any more, in seconds."""
        if self.head.expiry == NEVER:
            return None
        expires, delay, run_at, until = (None if number < 0 else number / 1000 for number in self.head.expiry)
        return latest_start(self.enqueued / 1000, expires=expires, delay=delay or 0.0, run_at=run_at, expires_at=until)


class Run(NamedTuple):
    """What has happened to a job that was claimed; see `lua/lib/runs.lua`."""

    state: str
    epoch: int
    attempt: int
    crashes: int
    claimed: int
    """Milliseconds."""
    worker: str


NEW: Final = Run("", 0, 0, 0, 0, "")
FIRST: Final = Run(RUN_LETTERS[Verb.CLAIM], 1, 1, 0, 0, "")


def encode_jobs(jobs: Sequence[NewJob]) -> list[object]:
    """Return jobs of one queue, to be stored all or none, as `lua/jobs/enqueue.lua` takes them: id, plan and record."""
    args: list[object] = []
    for job in jobs:
        check_id(job.id)
        # An & puts a job into the group of the one before it.
        args += (job.id, ("&" if args else "") + plan_of(job), encode_record(job))
    return args


def plan_of(job: NewJob) -> str:
    """Return when a job is due, and its priority; see `lua/lib/store.lua`."""
    if job.run_at is not None:
        return f"{job.priority}@{milliseconds(job.run_at)}"
    return f"{job.priority}+{milliseconds(job.delay)}" if job.delay > 0 else str(job.priority)


def encode_record(job: NewJob) -> bytes:
    """Return a job's record without its moment, which the server sets."""
    expiry = NEVER if job.expires is None and job.expires_at is None else _expiry(job)
    return _encode_head(job.task, job.priority, job.max_crashes, expiry) + job.payload


def read_record(raw: bytes) -> Record:
    """Return the job that a record describes.

    Raises:
        Unreadable: It is damaged, foreign, or of a later version.
    """
    if raw.find(b"\n", 0, LONGEST_HEAD) < 0 and len(raw) > LONGEST_HEAD:
        raise Unreadable(f"it has {len(raw):,} bytes and does not begin like a job", reason="too_large")
    line, newline, payload = raw.partition(b"\n")
    moment, _, head = line.partition(b" ")
    if not newline or not moment.isdigit() or len(moment) > 15:
        raise Unreadable("it does not begin like a job")
    read = _read_head if len(head) <= LONGEST_CACHED else _read_head.__wrapped__
    return Record(read(head), int(moment), payload)


def read_lease(queue: str, job_id: bytes, raw: bytes, run: Run) -> Lease:
    """Return the lease of a claimed job.

    Raises:
        Unreadable: As for `read_id` and `read_record`.
    """
    record = read_record(raw)
    return Lease(
        job_id=read_id(job_id),
        queue=queue,
        epoch=run.epoch,
        task=record.head.task,
        payload=record.payload,
        attempt=run.attempt,
        crashes=run.crashes,
        priority=record.head.priority,
        enqueued_at=record.enqueued / 1000,
        expires_at=record.expires_at(),
    )


def read_run(line: bytes) -> Run:
    """Return the run that a line describes; nothing, or what is no such line, stands for a job never claimed."""
    found = _RUN.fullmatch(line)
    if found is None:
        return NEW
    state, epoch, attempt, crashes, claimed, worker = found.groups()
    return Run(state.decode(), int(epoch), int(attempt), int(crashes), int(claimed), worker.decode("utf-8", "replace"))


def check_id(job_id: str) -> str:
    """Return `job_id` if jobs can have it.

    Raises:
        ValueError: It is empty, too long, or has characters that such names do not have.
    """
    if not _ID.fullmatch(job_id):
        raise ValueError(f"job_id {job_id[:80]!r} is not of the form {_ID.pattern}")
    return job_id


def read_id(raw: bytes) -> str:
    """Return a stored job id as text.

    Raises:
        Unreadable: No client of aioq can have chosen it.
    """
    try:
        return check_id(raw.decode("ascii"))
    except ValueError:
        raise Unreadable("its id cannot be one") from None


def _expiry(job: NewJob) -> Expiry:
    if job.expires_at is not None:
        return -1, 0, -1, milliseconds(job.expires_at)
    run_at = -1 if job.run_at is None else milliseconds(job.run_at)
    return milliseconds(job.expires or 0.0), milliseconds(job.delay) if run_at < 0 else 0, run_at, -1


@lru_cache(maxsize=1024)
def _encode_head(task: str, priority: int, max_crashes: int, expiry: Expiry) -> bytes:
    check_name("name", task)
    if not 0 <= priority <= 9:
        raise ValueError(f"priority must be between 0 and 9, got {priority}")
    expires, delay, run_at, until = expiry
    header = msgspec.json.encode(Header(p=priority, c=max_crashes, x=expires, d=delay, r=run_at, u=until))
    return f"{task} ".encode() + (b"" if header == b"{}" else header) + b"\n"


@lru_cache(maxsize=1024)
def _read_head(line: bytes) -> Head:
    task, _, json = line.partition(b" ")
    try:
        core = msgspec.json.decode(json or b"{}", type=Core)
        if core.v > VERSION:
            raise Unreadable(f"it is of version {core.v}, and this one knows {VERSION}", core.v, core.p)
        header = msgspec.json.decode(json or b"{}", type=Header)
        return Head(check_name("name", task.decode()), header.p, header.c, (header.x, header.d, header.r, header.u))
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(f"its header is damaged: {error}") from None
    except UnicodeDecodeError:
        raise Unreadable("its task is no text") from None
    except ValueError as error:
        raise error if isinstance(error, Unreadable) else Unreadable(f"its task cannot be: {error}") from None


_ENDED: Final = re.compile(
    b"([%b])" % b"".join(ENDED_STATES) + rb" \d (\d{1,15}) (-?\d{1,12}) ([^\n]*)\n([^\n]*)\n(.*)", re.DOTALL
)

_read_failure = msgspec.json.Decoder(Failure).decode


def live_job(job_id: str, queue: str, parts: list[bytes]) -> JobRecord:
    """Return a job that has not ended: record, run line, score among the due, latest failure."""
    raw, line, score, failure = parts
    run = read_run(line)
    return _job(job_id, queue, _live_state(run, score), _readable(raw), run, failure, run_at=_moment(score))


def ended_job(job_id: str, queue: str, text: bytes) -> JobRecord:
    """Return a job that has ended; see `lua/lib/ended.lua` for how it is stored.

    What some other program has put in its place is told of as a dead job of no task.
    """
    found = _ENDED.fullmatch(text)
    if found is None:
        foreign = _job(job_id, queue, JobState.DEAD, _readable(text), read_run(b""), b"")
        return msgspec.structs.replace(foreign, reason="malformed")
    code, finished, length, note, line, rest = found.groups()
    size = int(length)
    body = rest[: max(size, 0)]
    state = ENDED_STATES[code]
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
    if run.state == RUN_LETTERS[Verb.CLAIM]:
        return JobState.RUNNING
    if not score:
        return JobState.PENDING
    return JobState.RETRYING if run.state == RUN_LETTERS[Verb.RETRY] else JobState.SCHEDULED


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
