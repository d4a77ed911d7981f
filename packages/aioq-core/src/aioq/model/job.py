"""Defines the values of jobs that clients, brokers and workers exchange.

Durations are seconds. Moments are seconds since 1970-01-01T00:00:00Z on the broker's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final, TypeAlias

from msgspec import Struct

from aioq.model.states import JobState

__all__ = [
    "MAX_ATTEMPTS",
    "Attempt",
    "AttemptOutcome",
    "Dead",
    "CancelledRun",
    "Claim",
    "ClaimRequest",
    "Completed",
    "Expired",
    "Failed",
    "Failure",
    "HandedBack",
    "JobKey",
    "JobRecord",
    "LatestSuccess",
    "Lease",
    "NewJob",
    "QueueStats",
    "Reaped",
    "Released",
    "Retried",
    "Settled",
    "Settlement",
]


JobKey: TypeAlias = tuple[str, str]
"""The identity of a job: its queue and its id. An id is unique within a queue; other queues may have a job with it."""


# Structs of msgspec, not dataclasses: each job makes several of these, and a frozen dataclass takes far longer to make.
class NewJob(Struct, frozen=True, kw_only=True):
    """A job as a client passes it to a broker."""

    id: str
    """Unique within the queue. Chosen by the client before its first call, so that a repeated enqueue stores no second
    job."""
    task: str
    queue: str
    payload: bytes
    """The encoded arguments. Brokers do not read them."""
    priority: int = 5
    """0 (last) to 9 (first)."""
    delay: float = 0.0
    """Seconds from the broker's now until the job is due."""
    run_at: float | None = None
    """The moment at which the job is due; overrides `delay`."""
    expires: float | None = None
    """Seconds from the due time of the job to its latest start; see `aioq.options.latest_start`."""
    expires_at: float | None = None
    """The moment by which it must be started; overrides `expires`."""
    max_crashes: int = 3
    """Crashes after which the job is dead, if it was running alone at the last of them; see
    `aioq.model.suspects.after_crash`."""
    # None, not an empty dict: the garbage collector would have to look at each job and each lease.
    headers: Mapping[str, str] | None = None
    """Text that goes with the job to each of its runs, within the limits of `aioq.model.headers`. Brokers do not read
    it, and two jobs that differ in their headers only are the same job. None without any."""

    @property
    def key(self) -> JobKey:
        """The identity of the job."""
        return self.queue, self.id


class LatestSuccess(Struct, frozen=True, kw_only=True):
    """The latest run of an entry that completed."""

    tick: float | None
    """Its tick; None if none has completed."""
    result: bytes | None = None
    """What it returned, encoded."""


class Lease(Struct, frozen=True, kw_only=True):
    """The right to run one job and to settle it, until the lease runs out."""

    job_id: str
    queue: str
    epoch: int
    """The fencing token: increases with every claim of the job, and settlements with an older epoch are
    rejected. A later job with the same id has epochs of its own; `enqueued_at` distinguishes the two."""
    worker_id: str
    """The worker that claimed the job. If the broker loses a claim in a failover, a second worker gets the same
    epoch, and only the one that the broker has recorded can settle."""
    task: str
    payload: bytes
    attempt: int
    """Counted before the attempt starts; 1 for the first. A release or a hand-back takes it off again."""
    crashes: int
    """Crashes of the job, those left out that came after a run had cleared it; see `aioq.model.suspects`."""
    priority: int
    enqueued_at: float
    probation: float = 0.0
    """Seconds that this run must last to clear a job that crashed; 0 for other jobs."""
    expires_at: float | None = None
    """The latest start, from `aioq.options.latest_start`; None once the job was started or replayed."""
    max_crashes: int = 3
    """That of the job as it was enqueued."""
    hand_backs: int = 0
    """How often workers have handed the job back since it was started last; see `HandedBack`."""
    wait: float = 0.0
    """Seconds from the moment at which the job was due to this claim, on the broker's clock. A new job is due when it
    was enqueued, or after its delay; a job that was put back is due after the delay of its settlement, or at once if it
    was reaped or replayed."""
    headers: Mapping[str, str] | None = None
    """Those of the job as it was enqueued."""
    latest_success: LatestSuccess | None = None
    """Of the job of a tick, what the ledger knew of its entry when the tick was claimed. A broker may leave it out:
    the worker then asks the ledger."""


class CancelledRun(Struct, frozen=True, kw_only=True):
    """A run that was cancelled while it was leased: the fields of its lease that tell it from other runs."""

    job_id: str
    queue: str
    epoch: int
    enqueued_at: float


class ClaimRequest(Struct, frozen=True, kw_only=True):
    """A worker's request for jobs."""

    worker_id: str
    queues: tuple[str, ...]
    """In order of preference, which may be another one in each request of a worker."""
    limit: int
    """The number of free slots; the maximum number of leases in the answer."""
    lease: float
    """Seconds until a lease runs out if it is not extended."""
    request_id: str
    """Repeating the request with the same id returns the same leases, and no further ones."""
    running: int = 0
    """The number of leases that the worker holds, without those of jobs that it has cleared: these have run longer
    than their `probation`, and have been extended since. Only a worker with 0 gets a suspect."""
    observes: bool = True
    """Whether the worker takes jobs with one crash now. After it got some, it lets a while pass."""


class Claim(Struct, frozen=True, kw_only=True):
    """A broker's answer to a `ClaimRequest`."""

    leases: list[Lease]
    next_due: float | None = None
    """Seconds until the next scheduled job of the queues comes due; None without one."""
    alone_for: float = 0.0
    """Seconds for which the worker must claim nothing more, unless it becomes empty before. Either the one lease of
    this claim is a suspect, and cleared after this time, or the claim has no lease, because the worker makes room
    for a suspect. 0 if it may go on."""
    paused: tuple[str, ...] = ()
    """The queues of the request that are paused; see `aioq.protocols.QueueControl`."""


class Failure(Struct, frozen=True, omit_defaults=True):
    """An exception of a task as text. Nothing of it is executed or unpickled."""

    type: str
    message: str
    traceback: str = ""
    place: str = ""
    """`module:function` of the innermost frame of the application, without a number of a line, so that failures of one
    cause can be counted together while their code is edited. Empty if the application has no frame in the traceback."""


class Completed(Struct, frozen=True, kw_only=True, tag=True):
    """The task returned."""

    lease: Lease
    result: bytes | None = None
    """The encoded return value; None stores no result."""
    retain_for: float = 0.0
    """Seconds to store the record of the job; 0 stores none."""
    duration: float | None = None
    """Seconds that the task ran, by the clock of the worker. Brokers do not store it; the worker counts it once they
    have accepted the settlement."""


class Retried(Struct, frozen=True, kw_only=True, tag=True):
    """The attempt failed, and the job is to be retried."""

    lease: Lease
    delay: float
    """Seconds from the broker's now until the next attempt is due."""
    failure: Failure | None = None


class Failed(Struct, frozen=True, kw_only=True, tag=True):
    """The task raised, and no attempt is left."""

    lease: Lease
    failure: Failure
    retain_for: float = 0.0
    """Seconds to store the record of the job, from which it can be replayed."""


class Released(Struct, frozen=True, kw_only=True, tag=True):
    """The worker gives the job back unfinished; the attempt does not count."""

    lease: Lease
    delay: float = 0.0
    """Seconds from the broker's now until the job is due again. 0 makes it `pending`, at the front of its
    priority; more makes it `scheduled`."""
    started: bool = False
    """Whether the task was started under this lease. A start uses up the job's `expires`, and its hand-backs are
    counted from 0 again."""


class HandedBack(Struct, frozen=True, kw_only=True, tag=True):
    """The worker's release of the app cannot run the job, and another one may: neither an attempt nor a crash."""

    lease: Lease
    delay: float
    """Seconds from the broker's now until the job is due again. The job becomes `scheduled`."""
    failure: Failure | None = None
    """Why this worker cannot run it."""


class Dead(Struct, frozen=True, kw_only=True, tag=True):
    """No further attempt can complete the job. Its record is stored for inspection."""

    lease: Lease
    reason: str
    """One word: `malformed`, `unknown_task`, `mismatched_arguments`, `crashed`, ..."""
    failure: Failure | None = None


class Expired(Struct, frozen=True, kw_only=True, tag=True):
    """The job was not started in time, and the worker did not run it.

    Its record is stored as long as that of a dead job, and it can be replayed like one.
    """

    lease: Lease
    failure: Failure
    """Its message says how late the job was."""


Settlement: TypeAlias = Completed | Retried | Failed | Released | HandedBack | Dead | Expired
"""The outcome of an attempt."""


class Settled(Enum):
    """A broker's answer to one settlement."""

    DONE = "done"
    """The broker wrote it."""
    ALREADY = "already"
    """The same epoch had already settled the job. Nothing was written again."""
    STALE = "stale"
    """Rejected: the lease is no longer valid, or the job is unknown. Nothing was written."""


class Reaped(Struct, frozen=True, kw_only=True):
    """A job whose lease ran out and was taken back."""

    job_id: str
    queue: str
    worker_id: str
    """The worker that held the lease; empty if the broker does not know it any more."""
    crashed: bool
    """Whether this counted as a crash. It does not if all workers were cut off from the broker."""
    crashes: int
    """Crashes so far, including this one."""
    state: JobState
    """`pending` again, or `dead` if `max_crashes` is reached."""
    task: str = ""
    """Empty if the broker does not know it."""


class AttemptOutcome(StrEnum):
    """How an attempt ended. The first five ended the job, too."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"
    EXPIRED = "expired"
    """The job was not started in time, and the worker did not run it."""
    RETRIED = "retried"
    """The task raised, and another attempt was left."""
    HANDED_BACK = "handed_back"
    """The worker could not run the job. The attempt does not count."""
    RELEASED = "released"
    """The worker gave the job back after it had started it. The attempt does not count."""
    CRASHED = "crashed"
    """The lease ran out: the worker crashed, or did not extend it."""
    LOST = "lost"
    """The lease ran out while all workers were cut off from the broker. The attempt does not count."""


MAX_ATTEMPTS: Final = 5
"""How many attempts of a job a broker stores, the latest ones."""


class Attempt(Struct, frozen=True, kw_only=True):
    """One attempt of a job that has ended."""

    number: int
    """1 for the first. The next attempt has the same number if this one does not count, and a replayed job begins with
    1 again."""
    worker_id: str
    started_at: float
    """When the job was claimed."""
    duration: float
    """Seconds from the claim to the end; of an attempt whose lease ran out, to the latest extension of the lease."""
    outcome: AttemptOutcome
    failure: Failure | None = None
    """Without its traceback."""


class JobRecord(Struct, frozen=True, kw_only=True):
    """A broker's record of one job."""

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
    """When a job that waits comes due, or came due if it is `pending`; None in other states."""
    started_at: float | None = None
    """When the latest attempt was claimed."""
    finished_at: float | None = None
    worker_id: str | None = None
    """The worker that claimed the latest attempt."""
    result: bytes | None = None
    failure: Failure | None = None
    """The failure of the latest failed attempt or hand-back. For a completed job a broker need not store it."""
    reason: str | None = None
    """Why a `dead` job is dead. Of a completed job without a result: `full` if the broker had no room for it, None if
    the result was too large."""
    hand_backs: int = 0
    """How often workers have handed the job back since it was started last."""
    attempts: tuple[Attempt, ...] = ()
    """The latest attempts that have ended, at most `MAX_ATTEMPTS`, the oldest first. They include those before a
    replay. A release of a job that was not started is left out."""
    headers: Mapping[str, str] | None = None
    """Those of the job as it was enqueued."""


class QueueStats(Struct, frozen=True, kw_only=True):
    """The number of jobs of one queue by state, and of its failures. No job is in two states."""

    queue: str
    pending: int
    scheduled: int
    """Jobs that are not due yet: `scheduled` and `retrying`."""
    running: int
    dead: int
    expired: int
    failures: int = 0
    """Listed failures, which is no state: jobs that failed, are dead or expired, and were neither replayed nor
    dismissed. A dead or expired job counts there, too. 0 if the broker has no `Failures`."""
