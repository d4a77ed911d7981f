"""Encodes and reads the record of a job: one string, which scripts read without parsing JSON.

    <enqueued ms> <task> <header as JSON, or nothing> line feed <payload>

The header leaves out defaults. A later version of aioq may add fields to it; a record that older
workers must not run has a higher `v`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta, Struct, structs

from aioq.model.headers import check_headers
from aioq.model.ids import check_name
from aioq.model.job import LatestSuccess, Lease, NewJob
from aioq.model.states import Verb
from aioq.options import latest_start
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.storage.job_states import RUN_LETTERS

__all__ = [
    "FIRST_ATTEMPT",
    "Head",
    "JobHistory",
    "NEVER_CLAIMED",
    "Record",
    "Unreadable",
    "check_id",
    "encode_jobs",
    "encode_record",
    "plan_of",
    "read_history",
    "read_id",
    "read_lease",
    "read_record",
]

VERSION: Final = 1

MAX_HEAD_BYTES: Final = 1_048_576
"""Bytes within which the head must end. The name of a task and a header have far fewer."""

MAX_CACHED_BYTES: Final = 512
"""Length of the longest head that is cached. Jobs of one task usually have equal heads."""

_ID: Final = re.compile(r"[!-~]{1,200}")
"""Ids that are safe in scripts, log lines and names of channels. Ids that aioq makes have fewer characters."""

_HISTORY: Final = re.compile(
    rb"([a-z])(\d) (\d{1,15}) \d+ (\d{1,9}) (\d{1,9})(?:\+(\d{1,9}))?(?:/(\d{1,15})@\d+)?(?:\*(\d{1,15}))?"
    rb"!? (\d{1,15}) (.*)",
    re.DOTALL,
)


STARTED_MARK: Final = 2
"""The mark in a run line of a job that no longer expires; see `lua/lib/runs.lua`."""


class Unreadable(ValueError):
    """The stored text is not a job, or a job for a later version of aioq.

    Attributes:
        version: The version of the record if this release does not know it; else 0.
        priority: The priority of the job, as far as it could be read.
        reason: The reason to record when the job is marked as dead.
    """

    def __init__(self, text: str, version: int = 0, priority: int = 5, reason: str = "malformed") -> None:
        super().__init__(text)
        self.version = version
        self.priority = min(max(priority, 0), 9)
        self.reason = "unknown_version" if version else reason


Times: TypeAlias = tuple[int, int, int, int]
"""The fields `x`, `d`, `r` and `u` of a header."""

NO_TIMES: Final = (-1, 0, -1, -1)
"""Those of a job that does not expire and was due when it was enqueued: of the same object, so that this is found at
once."""


class Core(Struct, frozen=True):
    """The fields of a header that no later version may change: version and priority."""

    v: int = VERSION
    p: int = 5


class Header(Struct, omit_defaults=True, frozen=True):
    """The options of a job: `v` is the version, `p` the priority, `c` the limit of crashes, `h` the headers.

    The script that enqueues the job of a tick adds `s` and `o`: the latest tick of the entry whose job completed, in
    milliseconds, or 0 if there is none, and the result of that job as hexadecimal digits.

    A job is due at the time `r`, or else its delay `d` after it was enqueued. One that expires has either `u`, the time
    of expiry, or `x`, the longest time from the due time to its start. All four are in milliseconds, and -1 stands for
    none.
    """

    v: int = VERSION
    p: Annotated[int, Meta(ge=0, le=9)] = 5
    c: Annotated[int, Meta(ge=1, le=1000)] = 3
    x: Annotated[int, Meta(ge=-1, le=10**15)] = -1
    d: Annotated[int, Meta(ge=0, le=10**15)] = 0
    r: Annotated[int, Meta(ge=-1, le=10**15)] = -1
    u: Annotated[int, Meta(ge=-1, le=10**15)] = -1
    h: dict[str, str] = {}
    s: Annotated[int, Meta(ge=-1, le=10**15)] = -1
    o: str = ""


class Head(NamedTuple):
    """The part of a record that is equal for many jobs of one task."""

    task: str
    priority: int
    max_crashes: int
    times: Times = NO_TIMES
    headers: Mapping[str, str] | None = None
    latest_success: LatestSuccess | None = None


class Record(NamedTuple):
    """The record of a job."""

    head: Head
    enqueued: int
    """Milliseconds."""
    payload: bytes

    def due(self) -> int:
        """Return when the job came due first, in milliseconds."""
        if self.head.times is NO_TIMES:
            return self.enqueued
        _, delay, run_at, _ = self.head.times
        # A due time in the past makes no job wait.
        return self.enqueued + delay if run_at < 0 else max(self.enqueued, run_at)

    def expires_at(self) -> float | None:
        """Return the latest start of the job in seconds, None if it does not expire."""
        if self.head.times is NO_TIMES:
            return None
        expires, delay, run_at, until = (None if number < 0 else number / 1000 for number in self.head.times)
        return latest_start(self.enqueued / 1000, expires=expires, delay=delay or 0.0, run_at=run_at, expires_at=until)


class JobHistory(NamedTuple):
    """The attempts of a job that was claimed; see `lua/lib/runs.lua`."""

    state: str
    epoch: int
    attempt: int
    crashes: int
    claimed: int
    """Milliseconds."""
    worker: str
    started: bool = False
    """Whether the job no longer expires, because it was started or replayed."""
    hand_backs: int = 0
    probation: int = 0
    """Milliseconds."""
    due: int = 0
    """Milliseconds; when the job came due after it was put back, 0 if it never was."""


NEVER_CLAIMED: Final = JobHistory("", 0, 0, 0, 0, "")
FIRST_ATTEMPT: Final = JobHistory(RUN_LETTERS[Verb.CLAIM], 1, 1, 0, 0, "")


def encode_jobs(jobs: Sequence[NewJob]) -> list[object]:
    """Return jobs of one queue as arguments of `lua/jobs/enqueue.lua`, which stores all of them or none."""
    args: list[object] = []
    for job in jobs:
        check_id(job.id)
        # The & adds a job to the group of the previous one: a group is stored as a whole or not at all.
        args += (job.id, ("&" if args else "") + plan_of(job), encode_record(job))
    return args


def plan_of(job: NewJob) -> str:
    """Return the priority of a job and when it is due; see `lua/lib/store.lua`."""
    if job.run_at is not None:
        # The server adds a delay to its own clock; only a moment that the caller chose is sent as it is.
        return f"{job.priority}@{milliseconds(job.run_at)}"
    return f"{job.priority}+{milliseconds(job.delay)}" if job.delay > 0 else str(job.priority)


def encode_record(job: NewJob) -> bytes:
    """Return the record of a job without the time of enqueueing, which the script adds."""
    plain = job.expires is None and job.expires_at is None and job.run_at is None and not job.delay
    times = NO_TIMES if plain else _times(job)
    if job.headers:
        # Not cached: headers usually differ from job to job.
        head = _encode_head.__wrapped__(job.task, job.priority, job.max_crashes, times, job.headers)
        return head + job.payload
    return _encode_head(job.task, job.priority, job.max_crashes, times) + job.payload


def read_record(raw: bytes) -> Record:
    """Read a record.

    Raises:
        Unreadable: The record is damaged, of another program, or of a later version.
    """
    # A foreign value may have hundreds of megabytes: it is rejected before it is split, which copies it.
    if raw.find(b"\n", 0, MAX_HEAD_BYTES) < 0 and len(raw) > MAX_HEAD_BYTES:
        raise Unreadable(f"it has {len(raw):,} bytes and does not begin like a job", reason="too_large")
    line, newline, payload = raw.partition(b"\n")
    moment, _, head = line.partition(b" ")
    if not newline or not moment.isdigit() or len(moment) > 15:
        raise Unreadable("it does not begin like a job")
    # Long heads bypass the cache, so that its 1024 entries cannot take much memory.
    read = _read_head if len(head) <= MAX_CACHED_BYTES else _read_head.__wrapped__
    return Record(read(head), int(moment), payload)


def read_lease(queue: str, worker_id: str, job_id: bytes, raw: bytes, history: JobHistory, *, now: int) -> Lease:
    """Return the lease of a claimed job.

    Args:
        queue: The queue of the job.
        worker_id: The worker that claimed it.
        job_id: Its stored id.
        raw: Its record.
        history: Its attempts; without a time for one that was claimed now for the first time.
        now: The server's time in milliseconds.

    Raises:
        Unreadable: As for `read_id` and `read_record`.
    """
    record = read_record(raw)
    claimed, due = history.claimed or now, history.due or record.due()
    # Without the fields that few jobs have: a call with more than 15 keywords takes Python three times as long.
    lease = Lease(
        job_id=read_id(job_id),
        queue=queue,
        epoch=history.epoch,
        worker_id=worker_id,
        task=record.head.task,
        payload=record.payload,
        attempt=history.attempt,
        crashes=history.crashes,
        priority=record.head.priority,
        enqueued_at=record.enqueued / 1000,
        probation=history.probation / 1000,
        expires_at=None if history.started else record.expires_at(),
        max_crashes=record.head.max_crashes,
        hand_backs=history.hand_backs,
        wait=(claimed - due) / 1000 if claimed > due else 0.0,
    )
    head = record.head
    if head.headers is None and head.latest_success is None:
        return lease
    return structs.replace(lease, headers=head.headers, latest_success=head.latest_success)


def read_history(line: bytes) -> JobHistory:
    """Read the history of a job. An empty or foreign line gives that of a job that was never claimed."""
    found = _HISTORY.fullmatch(line)
    if found is None:
        return NEVER_CLAIMED
    state, marks, epoch, attempt, crashes, hand_backs, probation, due, claimed, worker = found.groups()
    return JobHistory(
        state.decode(),
        int(epoch),
        int(attempt),
        int(crashes),
        int(claimed),
        worker.decode("utf-8", "replace"),
        started=int(marks) >= STARTED_MARK,
        hand_backs=int(hand_backs or 0),
        probation=int(probation or 0),
        due=int(due or 0),
    )


def check_id(job_id: str) -> str:
    """Return a job id if it is valid.

    Raises:
        ValueError: The id is empty, too long, or has other characters than visible ASCII.
    """
    if not _ID.fullmatch(job_id):
        raise ValueError(f"job_id {job_id[:80]!r} is not of the form {_ID.pattern}")
    return job_id


def read_id(raw: bytes) -> str:
    """Return a stored job id as text.

    Raises:
        Unreadable: The id is not valid, so no client of aioq has stored it.
    """
    try:
        return check_id(raw.decode("ascii"))
    except ValueError:
        raise Unreadable("its id cannot be one") from None


def _times(job: NewJob) -> Times:
    run_at = -1 if job.run_at is None else milliseconds(job.run_at)
    delay = milliseconds(job.delay) if run_at < 0 else 0
    if job.expires_at is not None:
        return -1, delay, run_at, milliseconds(job.expires_at)
    return -1 if job.expires is None else milliseconds(job.expires), delay, run_at, -1


@lru_cache(maxsize=1024)
def _encode_head(
    task: str, priority: int, max_crashes: int, times: Times, headers: Mapping[str, str] | None = None
) -> bytes:
    check_name("name", task)
    if not 0 <= priority <= 9:
        raise ValueError(f"priority must be between 0 and 9, got {priority}")
    expires, delay, run_at, until = times
    sent = dict(check_headers(headers) or {}) if headers else {}
    header = msgspec.json.encode(Header(p=priority, c=max_crashes, x=expires, d=delay, r=run_at, u=until, h=sent))
    return f"{task} ".encode() + (b"" if header == b"{}" else header) + b"\n"


def _latest_success(header: Header) -> LatestSuccess | None:
    if header.s < 0:
        return None
    result = bytes.fromhex(header.o) if header.o else None
    return LatestSuccess(tick=header.s / 1000 if header.s else None, result=result)


@lru_cache(maxsize=1024)
def _read_head(line: bytes) -> Head:
    task, _, json = line.partition(b" ")
    try:
        core = msgspec.json.decode(json or b"{}", type=Core)
        # Before the other fields: a later version may have changed what they mean.
        if core.v > VERSION:
            raise Unreadable(f"it is of version {core.v}, and this one knows {VERSION}", core.v, core.p)
        header = msgspec.json.decode(json or b"{}", type=Header)
        times = (header.x, header.d, header.r, header.u)
        name = check_name("name", task.decode())
        sent = check_headers(header.h) if header.h else None
        return Head(name, header.p, header.c, NO_TIMES if times == NO_TIMES else times, sent, _latest_success(header))
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(f"its header is damaged: {error}") from None
    except UnicodeDecodeError:
        raise Unreadable("its task is not text") from None
    except ValueError as error:
        raise (
            error if isinstance(error, Unreadable) else Unreadable(f"its task or its headers cannot be: {error}")
        ) from None
