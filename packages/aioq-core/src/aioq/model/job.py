"""The values that pass between clients, brokers and workers: frozen, and free of logic.

Durations are seconds; moments are seconds since 1970-01-01T00:00:00Z on the broker's clock.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from msgspec import Struct

from aioq.model.states import JobState

__all__ = [
    "SUSPECT_AFTER",
    "Dead",
    "Claim",
    "ClaimRequest",
    "Completed",
    "Expired",
    "Failed",
    "Failure",
    "JobRecord",
    "Lease",
    "NewJob",
    "QueueStats",
    "Reaped",
    "Released",
    "Retried",
    "Settled",
    "Settlement",
    "WorkerInfo",
]

SUSPECT_AFTER = 2
"""Crashes after which a job is a suspect: it is claimed alone, so that it takes no other job down with it."""


class NewJob(Struct, frozen=True, kw_only=True):
    """A job as a client hands it to a broker."""

    id: str
    """Chosen by the client before its first try, so that a repeated enqueue is no second job."""
    task: str
    queue: str
    payload: bytes
    """The encoded arguments. A broker never looks inside."""
    priority: int = 5
    """0 (last) to 9 (first)."""
    delay: float = 0.0
    """Seconds from the broker's now until the job is due."""
    run_at: float | None = None
    """The moment the job is due; overrides `delay`."""
    expires: float | None = None
    """Seconds after the job came due in which it has to be started; see `aioq.options`."""
    expires_at: float | None = None
    """The moment by which it has to be started; overrides `expires`."""
    max_crashes: int = 3
    """So many times may a worker vanish while running it; after the last the job is dead. With less
    than 3 a job that only ran beside the culprit has no chance to prove it, see `SUSPECT_AFTER`."""


class Lease(Struct, frozen=True, kw_only=True):
    """The right to run one job and to report on it, until the lease runs out."""

    job_id: str
    queue: str
    epoch: int
    """Grows with every claim of the job; who reports with an older epoch is refused. It belongs to
    one job: a later one of the same id, told apart by `enqueued_at`, has epochs of its own."""
    task: str
    payload: bytes
    attempt: int
    """Counted before the attempt starts; 1 for the first. A release gives it back."""
    crashes: int
    """Earlier attempts that ended with a lease running out."""
    priority: int
    enqueued_at: float
    expires_at: float | None = None
    """The moment after which the first run is not to start any more: `aioq.options.latest_start`. Workers
    heed it at epoch 1 alone, so it may stand when the job is retried, or put back in line."""


class ClaimRequest(Struct, frozen=True, kw_only=True):
    """What a worker asks a broker for."""

    worker_id: str
    queues: tuple[str, ...]
    """In order of preference."""
    limit: int
    """The number of free slots: never more leases than this are taken."""
    lease: float
    """Seconds until a lease runs out unless it is extended."""
    request_id: str
    """Repeating a request with its id returns the same leases, not further ones."""
    running: int = 0
    """How many leases the worker holds: a suspect comes to one that holds none."""


class Claim(Struct, frozen=True, kw_only=True):
    """A broker's answer to a `ClaimRequest`."""

    leases: list[Lease]
    next_due: float | None = None
    """Seconds until the earliest scheduled job of the queues comes due; None without one."""
    alone: bool = False
    """The worker is to claim nothing more until it holds no lease: the one lease here is that of a
    suspect, or it is this worker's turn to make room for one."""


class Failure(Struct, frozen=True):
    """A task's exception as text: nothing of it is ever executed or unpickled."""

    type: str
    message: str
    traceback: str = ""


class Completed(Struct, frozen=True, kw_only=True, tag=True):
    """The task returned."""

    lease: Lease
    result: bytes | None = None
    """The encoded return value; None when it is not to be stored."""
    retain_for: float = 0.0
    """Seconds to keep the finished job's record; 0 leaves nothing behind."""


class Retried(Struct, frozen=True, kw_only=True, tag=True):
    """The attempt failed and another is wanted."""

    lease: Lease
    delay: float
    """Seconds from the broker's now until the next attempt is due."""
    failure: Failure | None = None


class Failed(Struct, frozen=True, kw_only=True, tag=True):
    """The task raised and has no attempt left."""

    lease: Lease
    failure: Failure
    retain_for: float = 0.0
    """Seconds to keep the failed job's record, from which it can be retried."""


class Released(Struct, frozen=True, kw_only=True, tag=True):
    """The worker gives the job back unfinished; the attempt does not count."""

    lease: Lease
    delay: float = 0.0
    """Seconds from the broker's now until the job is due again: 0 makes it `pending`, at the
    front of its priority; more makes it `scheduled`."""


class Dead(Struct, frozen=True, kw_only=True, tag=True):
    """No further attempt can help: keep the job among the dead for somebody to look at."""

    lease: Lease
    reason: str
    """A word: `malformed`, `unknown_task`, `crashed`, ..."""
    failure: Failure | None = None


class Expired(Struct, frozen=True, kw_only=True, tag=True):
    """The job was not started in time, and the worker has not run it.

    Its record is kept as long as that of a dead job, and it can be retried like one.
    """

    lease: Lease
    failure: Failure
    """Says by how much it was too late."""


Settlement: TypeAlias = Completed | Retried | Failed | Released | Dead | Expired
"""How an attempt ended."""


class Settled(Enum):
    """What a broker did with one settlement."""

    DONE = "done"
    """It was written, now."""
    ALREADY = "already"
    """This very epoch had settled the job before; nothing was written again."""
    STALE = "stale"
    """Refused: the lease has passed on, or the job is no more. Nothing was written."""


class Reaped(Struct, frozen=True, kw_only=True):
    """A job whose lease ran out."""

    job_id: str
    queue: str
    crashes: int
    """Crashes counted so far, this one included."""
    state: JobState
    """`pending` again, or `dead` when `max_crashes` is reached."""


class JobRecord(Struct, frozen=True, kw_only=True):
    """All that a broker knows of one job."""

    id: str
    queue: str
    task: str
    state: JobState
    payload: bytes
    priority: int
    attempt: int
    crashes: int
    enqueued_at: float
    run_at: float | None = None
    """When a `scheduled` or `retrying` job comes due."""
    started_at: float | None = None
    """When the latest attempt was claimed."""
    finished_at: float | None = None
    worker_id: str | None = None
    """Who claimed the latest attempt."""
    result: bytes | None = None
    failure: Failure | None = None
    """Of the latest attempt that failed; of a job that completed after all a broker need not keep it."""
    reason: str | None = None
    """Why a `dead` job is dead."""


class QueueStats(Struct, frozen=True, kw_only=True):
    """How many jobs of a queue stand where."""

    queue: str
    pending: int
    scheduled: int
    """Waiting for their time, first or later attempts alike."""
    running: int
    dead: int
    expired: int


class WorkerInfo(Struct, frozen=True, kw_only=True):
    """What a worker says of itself."""

    id: str
    queues: tuple[str, ...]
    concurrency: int
    running: int
    hostname: str
    pid: int
    started_at: float
